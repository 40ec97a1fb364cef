//! Decisions on behalf of people: off the control threads, a few at a time, waiting a moment for discovery.

use std::time::Duration;

use axum::http::StatusCode;
use tokio::time::{Instant, sleep};

use super::Admin;
use super::answer::Refusal;

/// Something that may still wait for discovery.
pub(super) trait Settles {
    fn is_pending(&self) -> bool;
}

/// What `decide` comes to once discovery has answered, or after two seconds as it then is.
///
/// Delegation is bounded, yet may take a part of a second when somebody wants it to: it runs on a blocking thread.
pub(super) async fn decide<T, F>(admin: &Admin, decide: F) -> Result<T, Refusal>
where
    T: Settles + Send + 'static,
    F: Fn() -> T + Clone + Send + 'static,
{
    let overloaded = |_| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the admin ends");
    let _permit = admin.deciding.acquire().await.map_err(overloaded)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let decided = tokio::task::spawn_blocking(decide.clone()).await;
        let decided =
            decided.map_err(|error| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("it broke: {error}")))?;
        if !decided.is_pending() || Instant::now() >= deadline {
            return Ok(decided);
        }
        sleep(LOOK_AGAIN).await;
    }
}

/// As long as linkerd waits.
const PATIENCE: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
