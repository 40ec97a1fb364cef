//! The decision for one request, made in one place: workers follow it, `explain` prints it.
//!
//! A [`Plan`] joins what naming and discovery say of a logical path (the [`Decision`]) with the policies that
//! hold for that path and for each bound path it leads to. Nothing after it parses a dtab or looks at a file.

use std::sync::Arc;

use waypost_naming::{DelegateTree, Dtab, Path};
use waypost_routing::{
    AddressSet, Decision, Dependencies, DtabCell, HealthRegistry, Manner, NamerSet, Occupancy, Occupants,
};

use crate::config::{ClientPolicy, Config, Fallback, RouterConfig, ServicePolicy};

/// One router as it runs: its configuration and the live parts that decisions look at.
#[derive(Debug)]
pub struct Router {
    /// What the file says.
    pub config: RouterConfig,
    /// The router's dtab: from the file, or from a watched `dtab_file`.
    pub dtab: Arc<DtabCell>,
    /// All configured namers, and the built-in ones.
    pub namers: Arc<NamerSet>,
    /// Which endpoints are out; for the whole process.
    pub health: Arc<HealthRegistry>,
}

impl Router {
    /// How it binds, beside its rules.
    fn manner(&self) -> Manner<'_> {
        let occupants = match self.config.fallback.value {
            Fallback::Name => None,
            Fallback::Endpoints => Some(Occupants { health: &self.health, router: &self.config.label }),
        };
        Manner { transformers: &self.config.transformers, occupants }
    }

    /// Every branch that `path` has by the rules of `dtab`, for people: [`plan`] follows the winning ones.
    #[must_use]
    pub fn delegate(&self, dtab: &Dtab, path: &Path) -> DelegateTree<Arc<AddressSet>> {
        self.manner().delegate(dtab, path, &self.namers)
    }
}

/// All that runs at one moment, replaced whole by a reload.
#[derive(Debug)]
pub struct Snapshot {
    /// Grows with each reload.
    pub generation: u64,
    /// The configuration that this was made from.
    pub config: Arc<Config>,
    /// In the order of the file.
    pub routers: Vec<Arc<Router>>,
}

/// Where requests for one logical path go, and under which policies.
#[derive(Debug)]
pub struct Plan {
    /// What delegation came to.
    pub decision: Decision,
    /// What was looked at on the way: while none of it changes, the plan holds.
    pub dependencies: Dependencies,
    /// The same, of who is there; nothing unless the router falls back on that.
    pub occupancy: Occupancy,
    /// What holds for the logical path.
    pub service: ServicePolicy,
    /// What holds for each of `decision.leaves`, in that order.
    pub clients: Vec<ClientPolicy>,
}

/// Decides for `logical`, with the rules of `overrides` after the router's own.
#[must_use]
pub fn plan(router: &Router, logical: &Path, overrides: &Dtab) -> Plan {
    let binding = router.manner().bind(&router.dtab, overrides, logical, &router.namers);
    let clients = binding.decision.leaves.iter().map(|leaf| router.config.client.for_bound(&leaf.bound)).collect();
    Plan {
        decision: binding.decision,
        dependencies: binding.dependencies,
        occupancy: binding.occupancy,
        service: router.config.service.for_path(logical),
        clients,
    }
}
