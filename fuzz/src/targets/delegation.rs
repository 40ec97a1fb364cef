//! A path, rules, and overrides, each in a paragraph of its own: delegation ends, and compiled rules are no other ones.

use waypost_naming::{
    Answer, Bound, Builtin, CompiledDtab, Dtab, Layered, NameTree, Namer, NamerError, Path, Resolved, Target as Leaf,
    bind, builtin, delegate,
};

use super::NAMES;
use crate::target::Target;

pub(crate) fn target() -> Target {
    let seeds = [
        "/svc/users\n\n/svc => /host ; /host => /#/fs\n\n/svc/users => /#/fs/beta",
        "/a\n\n/a => /b & /c ; /b => /a | /#/x ; /c => ~\n\n",
        "/svc/GET/www.example.com:80\n\n/svc => /$/io.buoyant.http.anyMethod ; /www.example.com:80 => /$/inet/a/80\n\n",
        "/x\n\n/* => /#/bad | /#/wait ; / => !\n\n/x => 2*/#/a & 0*$ & /#/wait",
    ];
    let mut target = Target::new("delegation", holds, &NAMES, &seeds);
    let more = [
        "\n\n",
        "/#/bad",
        "/#/wait",
        "/#/a",
        "/$/nil",
        "/$/fail",
        "/$/io.buoyant.hostportPfx",
        "/h:80",
        "/a => /a & /a ;",
    ];
    target.words.extend(more.map(str::to_owned));
    target
}

/// Binds `/#/<name>`, but for one that it cannot tell of and one that it has not heard of; the rest is built in.
struct Lab;

impl Namer for Lab {
    type Addr = ();

    fn lookup(&self, path: &Path) -> Answer<()> {
        let bound = |id, residual| NameTree::Leaf(Leaf::Bound(Bound { id, residual, addr: () }));
        match path.take(2).to_string().as_str() {
            "/#/bad" => return Answer::Error(NamerError("out of order".to_owned())),
            "/#/wait" => return Answer::Pending,
            name if name.starts_with("/#/") => return Answer::Tree(bound(path.take(2), path.drop(2))),
            _ => {}
        }
        match builtin(path) {
            Builtin::Tree(tree) => Answer::Tree(tree.map(Leaf::Path)),
            Builtin::Inet { id, residual, .. } => Answer::Tree(bound(id, residual)),
            Builtin::NotBuiltin => Answer::Tree(NameTree::Neg),
            Builtin::Unknown(error) => Answer::Error(error),
        }
    }
}

fn holds(text: &str) {
    let mut parts = text.splitn(3, "\n\n");
    let mut part = || parts.next().unwrap_or_default();
    let (Ok(path), Ok(base), Ok(overrides)) = (Path::parse(part()), Dtab::parse(part()), Dtab::parse(part())) else {
        return;
    };
    let plain = base.append(&overrides);
    let bound = bind(&plain, &path, &Lab);
    let compiled = CompiledDtab::new(base);
    assert_eq!(bind(&Layered::new(&compiled, &overrides), &path, &Lab), bound);

    let seen = delegate(&plain, &path, &Lab);
    let winners = seen.winner();
    let shares: f64 = winners.leaves().iter().map(|winner| winner.share).sum();
    if let Ok(Resolved::Tree(NameTree::Leaf(_) | NameTree::Union(_) | NameTree::Empty)) = &bound {
        assert!((shares - 1.0).abs() < 1e-6, "{shares} is not the whole");
    }
}
