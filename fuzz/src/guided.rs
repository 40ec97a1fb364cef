//! libFuzzer for the target that `WAYPOST_FUZZ_TARGET` names; see `scripts/fuzz.sh`.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use waypost_fuzz::{Target, named};

static TARGET: LazyLock<Option<Target>> =
    LazyLock::new(|| named(&std::env::var("WAYPOST_FUZZ_TARGET").unwrap_or_default()));

fuzz_target!(|bytes: &[u8]| {
    let target = TARGET.as_ref();
    assert!(target.is_some(), "WAYPOST_FUZZ_TARGET names no target");
    if let Some(target) = target {
        target.check(bytes);
    }
});
