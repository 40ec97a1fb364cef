//! `waypost delegate`: a path through a dtab, without a configuration.

use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;

use waypost_naming::{
    Answer, Bound, DelegateNode, Dtab, Finding, Lines, NameTree, Namer, ParseError, Path, Place, Segment, Source, Span,
    Target, Winner, delegate,
};
use waypost_routing::{AddressSet, Endpoint, NamerSet};

use super::{FAILED, USAGE, print};
use crate::explanation::{Color, Namers, delegation_text, one_of, percent, plain_tree};

/// Where a path leads by a dtab: every branch, and the one that a request takes.
#[derive(Clone, Debug, clap::Args)]
pub struct DelegateArgs {
    /// The rules, as in `/svc => /#/fs ; /svc/users => /a | /b`
    #[arg(long, value_name = "DTAB")]
    pub dtab: String,
    /// A name that is bound, in place of a namer: `/#/fs/users=127.0.0.1:8080,127.0.0.1:8081`
    #[arg(long = "name", value_name = "PATH=ADDR[,ADDR]")]
    pub names: Vec<String>,
    /// The path to delegate
    #[arg(value_name = "PATH")]
    pub path: String,
    /// Print JSON, in the shape of linkerd's delegator
    #[arg(long)]
    pub json: bool,
}

/// Runs the command. 0: something is bound, 1: nothing is, 2: a path, dtab or name that can't be read.
pub fn run(args: &DelegateArgs) -> u8 {
    let (dtab, names, path) = match read(args) {
        Ok(read) => read,
        Err(finding) => {
            print::findings(&[*finding]);
            return USAGE;
        }
    };
    let tree = delegate(&dtab, &path, &names);
    let verdict = verdict(&path, tree.winner().leaves());
    let text = if args.json {
        format!("{:#}\n", plain_tree(&tree))
    } else {
        format!("{}{}\n", delegation_text(&tree, &dtab, &names, Color::On), verdict.text)
    };
    let printed = print::out(&text);
    if verdict.is_bound { printed } else { FAILED }
}

fn read(args: &DelegateArgs) -> Result<(Dtab, Names, Path), Box<Finding>> {
    let lines = Lines::new(&args.dtab);
    let place = |span: Span| {
        let (line, col) = lines.line_col(span.start);
        Place::File { file: Arc::from("--dtab"), line, col }
    };
    let dtab = Dtab::parse_at(&args.dtab, place).map_err(|error| unreadable("--dtab", &args.dtab, &error))?;
    let names = args.names.iter().map(|text| Name::read(text)).collect::<Result<_, _>>()?;
    let path = Path::parse(&args.path).map_err(|error| unreadable("PATH", &args.path, &error))?;
    Ok((dtab, Names { names, builtin: NamerSet::read(&[]).0 }, path))
}

struct Verdict {
    is_bound: bool,
    text: String,
}

/// What the leaves that decide come to.
fn verdict(path: &Path, winners: &[Winner<'_, Arc<AddressSet>>]) -> Verdict {
    let (mut bound, mut empty, mut others) = (Vec::new(), 0.0, Vec::new());
    for winner in winners {
        match &winner.node.node {
            DelegateNode::Leaf(leaf) => bound.push((leaf, winner.share)),
            DelegateNode::Empty => empty += winner.share,
            DelegateNode::Fail => others.push("failed: a rule says `!`".to_owned()),
            DelegateNode::Pending => others.push("pending: discovery has not answered".to_owned()),
            DelegateNode::Exception(message) => others.push(format!("error: {message}")),
            DelegateNode::Neg
            | DelegateNode::Vacant(_)
            | DelegateNode::Delegate(_)
            | DelegateNode::Alt(_)
            | DelegateNode::Union(_)
            | DelegateNode::Transformation { .. } => {}
        }
    }
    if bound.is_empty() {
        let empty = (empty > 0.0).then(|| "empty: a rule says `$`".to_owned());
        let text = others.into_iter().next().or(empty).unwrap_or_else(|| format!("negative: {path} leads nowhere"));
        return Verdict { is_bound: false, text };
    }
    let leaves: Vec<String> = bound.into_iter().map(|(leaf, share)| shown(leaf, share)).collect();
    let empty = if empty > 0.0 { format!("; {} draw `$`", percent(empty)) } else { String::new() };
    Verdict { is_bound: true, text: format!("bound: {}{empty}", leaves.join(" or ")) }
}

fn shown(leaf: &Bound<Arc<AddressSet>>, share: f64) -> String {
    let nobody = if leaf.addr.snapshot().endpoints().is_empty() { ", which has no endpoints" } else { "" };
    let share = if share < 1.0 { format!(" ({})", percent(share)) } else { String::new() };
    format!("{}{share}{nobody}", leaf.id)
}

/// One `--name`.
struct Name {
    path: Path,
    addresses: Arc<AddressSet>,
}

impl Name {
    fn read(text: &str) -> Result<Self, Box<Finding>> {
        let source = || Arc::new(Source { name: "--name".to_owned(), text: text.to_owned() });
        let bad =
            |start: usize, length: usize, message: String| {
                let span = Span::new(start, start + length);
                Box::new(Finding::error("bad-name", message).at(source(), span).hint(
                    "a name is written /#/fs/users=127.0.0.1:8080,127.0.0.1:8081; one without addresses ends in `=`",
                ))
            };
        // A shown path has no `=` in it that is not escaped.
        let Some((path_text, addresses)) = text.split_once('=') else {
            return Err(bad(text.len(), 0, "`=` is missing".to_owned()));
        };
        let path = Path::parse(path_text).map_err(|error| unreadable("--name", text, &error))?;
        let mut endpoints = Vec::new();
        let mut start = path_text.len() + 1;
        for address in addresses.split(',').filter(|_| !addresses.is_empty()) {
            let addr = SocketAddr::from_str(address.trim())
                .map_err(|_| bad(start, address.len(), format!("`{address}` is no address with a port")))?;
            endpoints.push(Endpoint { addr, weight: 1.0 });
            start += address.len() + 1;
        }
        Ok(Self { path, addresses: Arc::new(AddressSet::fixed(endpoints)) })
    }
}

/// The names given, before what is built in.
struct Names {
    names: Vec<Name>,
    builtin: NamerSet,
}

impl Namer for Names {
    type Addr = Arc<AddressSet>;

    fn lookup(&self, path: &Path) -> Answer<Self::Addr> {
        let given = self.names.iter().filter(|name| path.starts_with(&name.path)).max_by_key(|name| name.path.len());
        match given {
            None => self.builtin.lookup(path),
            Some(name) => Answer::Tree(NameTree::Leaf(Target::Bound(Bound {
                id: name.path.clone(),
                residual: path.drop(name.path.len()),
                addr: Arc::clone(&name.addresses),
            }))),
        }
    }
}

impl Namers for Names {
    fn unknown(&self, path: &Path) -> String {
        match path.segments().first().map(Segment::as_bytes) {
            Some(b"#") if self.names.is_empty() => {
                format!("no namer knows {path}; --name {path}=ADDR stands in for one")
            }
            Some(b"#") => {
                let names = self.names.iter().map(|name| name.path.to_string());
                format!("no --name is {path}{}", one_of(&path.to_string(), names))
            }
            Some(b"$") => format!("the built-in namer {} does not take it", path.take(2)),
            Some(_) | None => "no rule matches it, and no --name does".to_owned(),
        }
    }
}

fn unreadable(name: &str, text: &str, error: &ParseError) -> Box<Finding> {
    let source = Source { name: name.to_owned(), text: text.to_owned() };
    let finding = Finding::error("bad-syntax", error.to_string()).at(Arc::new(source), error.span);
    Box::new(match error.kind.hint() {
        Some(hint) => finding.hint(hint),
        None => finding,
    })
}
