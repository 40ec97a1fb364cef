//! Waiting, with an end: the only place in the tests that sleeps.

use std::time::{Duration, Instant};

/// How long a test waits for what should happen at once, on a machine that is busy with other tests.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Runs `probe` until it gives a value; after [`DEADLINE`] panics with the last reason.
pub async fn eventually<T>(what: &str, mut probe: impl AsyncFnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match probe().await {
            Ok(value) => return value,
            Err(reason) => assert!(Instant::now() < deadline, "{what}: {reason}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The same for code that no runtime runs, with its own limit: the end of a child process.
pub fn eventually_blocking<T>(limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = probe() {
            return Some(value);
        }
        if Instant::now() >= deadline {
            return None;
        }
        pause();
    }
}

/// What `future` gives; panics when that takes longer than [`DEADLINE`].
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: nothing came within {DEADLINE:?}"),
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place where a test thread waits for a child process")]
fn pause() {
    std::thread::sleep(Duration::from_millis(5));
}
