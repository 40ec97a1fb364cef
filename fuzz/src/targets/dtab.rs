//! `/svc => /#/fs ; /svc/users => /a | /b`.

use waypost_naming::{CompiledDtab, Dtab, Place, Table};

use super::{NAMES, is_placed, is_told, tree};
use crate::target::Target;

pub(crate) fn target() -> Target {
    let seeds = [
        "",
        "/svc => /#/fs ;\n/svc/users => /#/fs/users | /#/fs/canary ; # the last word\n",
        "/http/1.1/* => /host ; /host => 0.9*/a & 0.1*(/b | !)",
        "# nothing\n",
        "/a=>/b;/c=>~",
        "/a => /b\n/c => /d",
    ];
    Target::new("dtab", holds, &NAMES, &seeds)
}

fn holds(text: &str) {
    let parsed = Dtab::parse_at(text, |span| {
        is_placed(text, span);
        Place::Named("here".into())
    });
    let dtab = match parsed {
        Ok(dtab) => dtab,
        Err(error) => return is_told(text, &error),
    };
    let shown = dtab.to_string();
    let again = Dtab::parse(&shown).map(|again| again.to_string());
    assert_eq!(again, Ok(shown), "what is shown reads as the same rules");
    for rule in dtab.dentries() {
        tree::is_shown_to_be_read(&rule.tree);
        let written = text.get(rule.span.start..rule.span.end).unwrap_or_default();
        let alone = Dtab::parse(written).map(|alone| alone.to_string());
        assert_eq!(alone, Ok(rule.to_string()), "a rule stands where its span says");
    }
    let compiled = CompiledDtab::new(dtab.clone());
    for leaf in dtab.dentries().iter().flat_map(|rule| rule.tree.leaves()) {
        assert!(compiled.matches(leaf).eq(dtab.matches(leaf)), "{leaf} finds the same rules");
    }
}
