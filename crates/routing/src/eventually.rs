//! The one place in this crate's tests that waits.

use std::time::{Duration, Instant};

/// Runs `probe` until it gives a value; after 10 s panics with the last reason.
pub(crate) async fn eventually<T>(what: &str, mut probe: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match probe() {
            Ok(value) => return value,
            Err(reason) => assert!(Instant::now() < deadline, "{what}: {reason}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
