//! The counter that says "nothing changed": one per process.
//!
//! Whoever publishes a snapshot (addresses, a dtab, a set of names) bumps it *after* the snapshot can be read. So a
//! worker that sees the old number may go on with what it has, and one that sees a new number finds the new state.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// How often anything that routing depends on has changed since the process began.
#[derive(Debug, Default)]
pub struct Generation {
    current: AtomicU64,
    moved: Notify,
}

impl Generation {
    /// A counter at zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The number now: one atomic load, for every request.
    #[must_use]
    pub fn current(&self) -> u64 {
        self.current.load(Ordering::Acquire)
    }

    /// Tells everybody that something changed, and gives the new number. Call it after the change can be read.
    pub fn bump(&self) -> u64 {
        let now = self.current.fetch_add(1, Ordering::AcqRel) + 1;
        self.moved.notify_waiters();
        now
    }

    /// Waits until [`Generation::current`] is greater than `since`. Dropping the future leaves nothing behind.
    pub async fn moved(&self, since: u64) {
        loop {
            let notified = self.moved.notified();
            tokio::pin!(notified);
            // Registered before the look at the number, so that a bump between the two isn't missed.
            notified.as_mut().enable();
            if self.current() > since {
                return;
            }
            notified.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn moved_returns_at_once_when_the_number_is_already_greater() {
        let generation = Generation::new();
        assert_eq!(generation.bump(), 1);
        generation.moved(0).await;
    }

    #[tokio::test]
    async fn moved_wakes_every_waiter() {
        let generation = Arc::new(Generation::new());
        let mut waiters = tokio::task::JoinSet::new();
        for _ in 0..3 {
            let generation = Arc::clone(&generation);
            waiters.spawn(async move { generation.moved(0).await });
        }
        tokio::task::yield_now().await;
        generation.bump();
        while let Some(ended) = waiters.join_next().await {
            ended.unwrap();
        }
    }
}
