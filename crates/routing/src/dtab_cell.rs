//! A router's dtab: replaced whole by whoever watches its source, read by everybody who binds.

use std::sync::Arc;

use arc_swap::ArcSwap;
use waypost_naming::{CompiledDtab, Dtab};

use crate::dependencies::Version;
use crate::generation::Generation;

/// One dtab that changes while requests are bound with it.
///
/// It is compiled by whoever makes or replaces it, that is on control: workers only look up.
#[derive(Debug, Default)]
pub struct DtabCell {
    current: ArcSwap<CompiledDtab>,
    version: Version,
}

impl DtabCell {
    /// A cell that holds `dtab`.
    #[must_use]
    pub fn new(dtab: Dtab) -> Self {
        Self { current: ArcSwap::from_pointee(dtab.into()), version: Version::default() }
    }

    /// The dtab now, for people.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Dtab> {
        Arc::new(self.current.load().dtab().clone())
    }

    /// The dtab now, for look-ups.
    pub(crate) fn compiled(&self) -> Arc<CompiledDtab> {
        self.current.load_full()
    }

    /// Grows with each [`DtabCell::publish`].
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.current()
    }

    /// Compiles `dtab` (10,000 rules take about 2 ms), replaces the old one whole and tells `generation`.
    pub fn publish(&self, dtab: Dtab, generation: &Generation) {
        self.current.store(Arc::new(dtab.into()));
        self.version.bump();
        generation.bump();
    }

    pub(crate) const fn version_handle(&self) -> &Version {
        &self.version
    }
}
