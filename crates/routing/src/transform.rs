//! Transformers: what is bound, bound otherwise. `/%/<transformer>/...` in front of a bound path says so.
//!
//! They stand on a namer, for its answers, or on a router, for whatever it binds. They act in the order of the list, so
//! the last one's prefix is outermost. Those that change or filter endpoints leave the tree as it is: fallback is
//! decided by then, and a leaf without endpoints stays one, as in linkerd.

use std::net::IpAddr;
use std::sync::Arc;
use std::{fmt, io};

use waypost_naming::{
    Bound, DelegateError, DelegateNode, DelegateTree, Dentry, NameTree, Path, Resolved, Segment, TreePath, Weighted,
};

use crate::address::{AddressSet, Mapping};
use crate::network::Network;

/// One transformer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transformer {
    /// What stands behind `/%` in the paths of what it has bound; [`TransformerKind::default_prefix`] where nobody chose
    /// another.
    pub prefix: Path,
    /// What it does.
    pub kind: TransformerKind,
}

/// What a transformer does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TransformerKind {
    /// All leads to `path`, also what led nowhere before.
    Const {
        /// Asked of the namers alone: no dentry has a say.
        path: Path,
    },
    /// Each bound leaf leads to `path` instead.
    Replace {
        /// Asked of the namers alone: no dentry has a say.
        path: Path,
    },
    /// Each endpoint gets this port. Endpoints that fall together become one with the sum of their weights.
    Port {
        /// Not 0.
        port: u16,
    },
    /// Only endpoints on this machine stay.
    Localhost {
        /// The addresses of its interfaces, as [`TransformerKind::localhost`] finds them; loopback addresses stay anyway.
        addresses: Arc<[IpAddr]>,
    },
    /// Only endpoints with this IP address stay.
    SpecificHost {
        /// An IPv4 address also stands for its IPv6 form.
        host: IpAddr,
    },
    /// Only endpoints in this network stay.
    Subnet {
        /// Where they are.
        network: Network,
    },
}

impl TransformerKind {
    /// [`TransformerKind::Localhost`] with the addresses that this machine's interfaces have now.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn localhost() -> io::Result<Self> {
        let interfaces = if_addrs::get_if_addrs()?;
        let mut addresses: Vec<_> = interfaces.iter().map(|interface| interface.ip().to_canonical()).collect();
        addresses.sort_unstable();
        addresses.dedup();
        Ok(Self::Localhost { addresses: addresses.into() })
    }

    /// The prefix where none is configured: the kind as it is spelled there (`port` or `io.l5d.port`) and, for those
    /// that linkerd shows, what it was given: `/io.l5d.port/4140`, `/subnet/10.1.2.0/24`.
    #[must_use]
    pub fn default_prefix(&self, spelled: &str) -> Path {
        let arguments = match self {
            Self::Port { port } => vec![port.to_string()],
            Self::Subnet { network } => vec![network.first().to_string(), network.bits().to_string()],
            Self::Const { .. } | Self::Replace { .. } | Self::Localhost { .. } | Self::SpecificHost { .. } => {
                Vec::new()
            }
        };
        // No argument is empty; neither is a kind.
        [spelled.to_owned()].into_iter().chain(arguments).filter_map(|text| Segment::new(text).ok()).collect()
    }

    fn act(&self) -> Act<'_> {
        match self {
            Self::Const { path } => Act::Supplant(path),
            Self::Replace { path } => Act::Replace(path),
            Self::Port { port } => Act::Map(Mapping::Port(*port)),
            Self::Localhost { addresses } => Act::Map(Mapping::Local(Arc::clone(addresses))),
            Self::SpecificHost { host } => Act::Map(Mapping::Host(host.to_canonical())),
            Self::Subnet { network } => Act::Map(Mapping::Network(*network)),
        }
    }
}

/// The three ways to transform.
enum Act<'a> {
    /// Another tree for the whole.
    Supplant(&'a Path),
    /// Another tree for each leaf.
    Replace(&'a Path),
    /// Other endpoints for each leaf.
    Map(Mapping),
}

impl Transformer {
    /// As it stands in front of a bound path: `/%/io.l5d.port/4140`.
    #[must_use]
    pub fn full_prefix(&self) -> Path {
        Path::from_segments(Segment::new(MARK).ok()).concat(&self.prefix)
    }

    fn map(&self, bound: &Bound<Arc<AddressSet>>, mapping: &Mapping) -> Bound<Arc<AddressSet>> {
        let (id, residual) = (self.full_prefix().concat(&bound.id), bound.residual.clone());
        Bound { id, residual, addr: bound.addr.derive(mapping) }
    }

    /// What a leaf of the tree of `path` becomes. Its own bound path is lost, as in linkerd.
    fn stand_in(&self, path: &Path, bound: Bound<Arc<AddressSet>>) -> Bound<Arc<AddressSet>> {
        Bound { id: self.full_prefix().concat(path), ..bound }
    }
}

impl fmt::Display for Transformer {
    /// As it stands in front of a bound path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.full_prefix().fmt(f)
    }
}

/// What a path is bound to, for [`transform`].
type Binding = Result<Resolved<Arc<AddressSet>>, DelegateError>;

/// What `transformers` make of a bound tree, simplified again. `resolve` binds the paths that some of them have, by the
/// namers alone.
///
/// # Errors
/// Those of `resolve`.
pub fn transform(
    tree: NameTree<Bound<Arc<AddressSet>>>,
    transformers: &[Transformer],
    resolve: &dyn Fn(&Path) -> Binding,
) -> Binding {
    let mut tree = tree;
    for transformer in transformers {
        let instead = |path: &Path| {
            let binding = resolve(path)?;
            Ok(match binding {
                Resolved::Tree(tree) => Some(tree.map(|bound| transformer.stand_in(path, bound))),
                Resolved::Pending => None,
            })
        };
        let transformed = match transformer.kind.act() {
            Act::Supplant(path) => instead(path)?,
            Act::Replace(path) if !tree.leaves().is_empty() => {
                instead(path)?.map(|replacement| replaced(&tree, &replacement))
            }
            Act::Replace(_) => Some(tree),
            Act::Map(mapping) => Some(tree.map(|bound| transformer.map(&bound, &mapping))),
        };
        let Some(next) = transformed else { return Ok(Resolved::Pending) };
        tree = next;
    }
    Ok(Resolved::Tree(tree.simplified()))
}

/// `tree` with `replacement` for each leaf.
fn replaced<T: Clone>(tree: &NameTree<T>, replacement: &NameTree<T>) -> NameTree<T> {
    match tree {
        NameTree::Leaf(_) => replacement.clone(),
        NameTree::Alt(trees) => NameTree::Alt(trees.iter().map(|tree| replaced(tree, replacement)).collect()),
        NameTree::Union(members) => {
            let member =
                |member: &Weighted<T>| Weighted { weight: member.weight, tree: replaced(&member.tree, replacement) };
            NameTree::Union(members.iter().map(member).collect())
        }
        NameTree::Neg => NameTree::Neg,
        NameTree::Fail => NameTree::Fail,
        NameTree::Empty => NameTree::Empty,
    }
}

/// A tree for people.
type Delegation = DelegateTree<Arc<AddressSet>>;

/// What people see of [`transform`]: each bound leaf, and what each transformer made of it. `delegate` gives the
/// delegation of the paths that some of them have, by the namers alone.
pub fn transform_delegation(
    tree: Delegation,
    transformers: &[Transformer],
    delegate: &dyn Fn(&Path) -> Delegation,
) -> Delegation {
    transformers.iter().fold(tree, |tree, transformer| {
        let instead = |path: &Path| {
            map_leaves(delegate(path), &|Leaf { path: at, dentry, bound }| {
                let bound = transformer.stand_in(path, bound);
                DelegateTree { path: at, dentry, node: DelegateNode::Leaf(bound) }
            })
        };
        match transformer.kind.act() {
            // Nobody supplants what is not known yet.
            Act::Supplant(_) if is_undecided(&tree) => tree,
            Act::Supplant(path) => DelegateTree { node: DelegateNode::Delegate(Box::new(instead(path))), ..tree },
            Act::Replace(path) => map_leaves(tree, &|leaf| leaf.led_to(instead(path), transformer)),
            Act::Map(mapping) => map_leaves(tree, &|leaf| {
                let mapped = transformer.map(&leaf.bound, &mapping);
                let path = TreePath::Path(mapped.id.clone());
                let tree = DelegateTree { path, dentry: leaf.dentry.clone(), node: DelegateNode::Leaf(mapped) };
                leaf.led_to(tree, transformer)
            }),
        }
    })
}

/// A leaf of a delegation.
struct Leaf {
    path: TreePath,
    dentry: Option<Arc<Dentry>>,
    bound: Bound<Arc<AddressSet>>,
}

impl Leaf {
    /// The node that says that `transformer` made `tree` of this leaf.
    fn led_to(self, tree: Delegation, transformer: &Transformer) -> Delegation {
        let (name, tree) = (transformer.to_string(), Box::new(tree));
        let node = DelegateNode::Transformation { name, bound: self.bound, tree };
        DelegateTree { path: self.path, dentry: self.dentry, node }
    }
}

/// Does a request wait here, or fail because somebody could not tell?
fn is_undecided(tree: &Delegation) -> bool {
    tree.winner()
        .leaves()
        .iter()
        .any(|winner| matches!(winner.node.node, DelegateNode::Pending | DelegateNode::Exception(_)))
}

/// `tree` with what `change` makes of each leaf; what a transformer has made of one already is what counts.
fn map_leaves(tree: Delegation, change: &dyn Fn(Leaf) -> Delegation) -> Delegation {
    let all = |trees: Vec<Delegation>| trees.into_iter().map(|tree| map_leaves(tree, change)).collect();
    let DelegateTree { path, dentry, node } = tree;
    let node = match node {
        DelegateNode::Leaf(bound) => return change(Leaf { path, dentry, bound }),
        DelegateNode::Delegate(tree) => DelegateNode::Delegate(Box::new(map_leaves(*tree, change))),
        DelegateNode::Alt(trees) => DelegateNode::Alt(all(trees)),
        DelegateNode::Union(members) => {
            DelegateNode::Union(members.into_iter().map(|(weight, tree)| (weight, map_leaves(tree, change))).collect())
        }
        DelegateNode::Transformation { name, bound, tree } => {
            DelegateNode::Transformation { name, bound, tree: Box::new(map_leaves(*tree, change)) }
        }
        other @ (DelegateNode::Neg
        | DelegateNode::Fail
        | DelegateNode::Empty
        | DelegateNode::Pending
        | DelegateNode::Exception(_)
        | DelegateNode::Vacant(_)) => other,
    };
    DelegateTree { path, dentry, node }
}

/// What bound paths begin with that a transformer had a hand in.
const MARK: &[u8] = b"%";
