//! The `static` namer: names and endpoints that the configuration itself lists.

use std::collections::BTreeMap;
use std::sync::Arc;

use waypost_naming::{Bound, NameTree, Path, Segment, Target};

use crate::address::{AddressSet, Endpoint};

/// One segment names a service, the rest is residual; an unknown name is negative.
#[derive(Debug)]
pub(super) struct FixedNames {
    services: BTreeMap<Segment, Arc<AddressSet>>,
}

impl FixedNames {
    pub(super) fn new(services: &[(Segment, Vec<Endpoint>)]) -> Self {
        let set = |endpoints: &Vec<Endpoint>| Arc::new(AddressSet::fixed(endpoints.as_slice()));
        Self { services: services.iter().map(|(name, endpoints)| (name.clone(), set(endpoints))).collect() }
    }

    /// Looks at the segment of `path` behind the first `skip`.
    pub(super) fn lookup(&self, path: &Path, skip: usize) -> NameTree<Target<Arc<AddressSet>>> {
        let Some(addr) = path.segments().get(skip).and_then(|name| self.services.get(name)) else {
            return NameTree::Neg;
        };
        let bound = Bound { id: path.take(skip + 1), residual: path.drop(skip + 1), addr: Arc::clone(addr) };
        NameTree::Leaf(Target::Bound(bound))
    }

    pub(super) fn bound_names(&self, prefix: &Path) -> Vec<Path> {
        self.services.keys().map(|name| prefix.concat(&Path::from_segments([name.clone()]))).collect()
    }
}
