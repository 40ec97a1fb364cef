//! A router's dtab: replaced whole by whoever watches its source, read by everybody who binds.

use std::sync::Arc;

use arc_swap::ArcSwap;
use waypost_naming::Dtab;

use crate::dependencies::Version;
use crate::generation::Generation;

/// One dtab that changes while requests are bound with it.
#[derive(Debug, Default)]
pub struct DtabCell {
    current: ArcSwap<Dtab>,
    version: Version,
}

impl DtabCell {
    /// A cell that holds `dtab`.
    #[must_use]
    pub fn new(dtab: Dtab) -> Self {
        Self { current: ArcSwap::from_pointee(dtab), version: Version::default() }
    }

    /// The dtab now.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Dtab> {
        self.current.load_full()
    }

    /// Grows with each [`DtabCell::publish`].
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.current()
    }

    /// Replaces the dtab whole and tells `generation`.
    pub fn publish(&self, dtab: Dtab, generation: &Generation) {
        self.current.store(Arc::new(dtab));
        self.version.bump();
        generation.bump();
    }

    pub(crate) const fn version_handle(&self) -> &Version {
        &self.version
    }
}
