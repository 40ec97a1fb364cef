//! TLS handshakes under way at one port of one worker: bounded in number, so that callers who stall, or come by the
//! thousands, cost the others neither memory nor their turn.
//!
//! A place is waited for *before* a connection is accepted: what comes in a burst waits in the system's queue, which
//! costs nothing here. Only when no place becomes free for a second has the oldest handshake to go.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::telemetry::ServerMetrics;

/// All handshakes of a port.
#[derive(Debug)]
pub struct Handshakes {
    /// In the order in which they began.
    pending: RefCell<BTreeMap<u64, Pending>>,
    next: Cell<u64>,
    /// One has ended.
    freed: Notify,
    metrics: Rc<ServerMetrics>,
}

#[derive(Debug)]
struct Pending {
    since: Instant,
    evict: Rc<Notify>,
}

impl Handshakes {
    /// None yet.
    pub fn new(metrics: Rc<ServerMetrics>) -> Rc<Self> {
        Rc::new(Self { pending: RefCell::default(), next: Cell::new(0), freed: Notify::new(), metrics })
    }

    /// Waits until one more may begin, of `limit`.
    pub async fn room(&self, limit: usize) {
        self.room_within(limit, PATIENCE).await;
    }

    async fn room_within(&self, limit: usize, patience: Duration) {
        loop {
            let freed = self.freed.notified();
            let Some(oldest) = self.oldest_of(limit) else { return };
            if tokio::time::timeout_at((oldest + patience).into(), freed).await.is_err() {
                self.evict_oldest();
            }
        }
    }

    /// When the oldest of them began; `None` where there are fewer than `limit`.
    fn oldest_of(&self, limit: usize) -> Option<Instant> {
        let pending = self.pending.borrow();
        pending.values().next().map(|oldest| oldest.since).filter(|_| pending.len() >= limit)
    }

    fn evict_oldest(&self) {
        if let Some((_, oldest)) = self.pending.borrow_mut().pop_first() {
            oldest.evict.notify_one();
            self.metrics.handshake_evicted();
        }
        self.count();
    }

    fn count(&self) {
        self.metrics.handshakes_pending(self.pending.borrow().len());
    }

    /// One more, until it is dropped.
    pub fn begin(self: &Rc<Self>) -> Handshake {
        let id = self.next.replace(self.next.get() + 1);
        let evict = Rc::new(Notify::new());
        self.pending.borrow_mut().insert(id, Pending { since: Instant::now(), evict: Rc::clone(&evict) });
        self.count();
        Handshake { all: Rc::clone(self), id, evict }
    }
}

/// A handshake under way.
#[derive(Debug)]
pub struct Handshake {
    all: Rc<Handshakes>,
    id: u64,
    evict: Rc<Notify>,
}

impl Handshake {
    /// Returns when it has to make room.
    pub async fn evicted(&self) {
        self.evict.notified().await;
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.all.pending.borrow_mut().remove(&self.id);
        self.all.count();
        self.all.freed.notify_one();
    }
}

/// A worker's share of what is allowed to the process; at least one.
pub fn share(limit: NonZeroU32, workers: usize, index: usize) -> usize {
    let limit = usize::try_from(limit.get()).unwrap_or(usize::MAX);
    let workers = workers.max(1);
    (limit / workers + usize::from(index < limit % workers)).max(1)
}

/// How long a handshake may take where others wait for its place. One takes a few round trips and a millisecond of work.
const PATIENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_to_the_limit() {
        for (limit, workers) in [(1_024, 2), (7, 3), (1, 1), (5, 5)] {
            let limit = NonZeroU32::new(limit).unwrap();
            let all: usize = (0..workers).map(|index| share(limit, workers, index)).sum();
            assert_eq!(all, usize::try_from(limit.get()).unwrap());
        }
        assert_eq!(share(NonZeroU32::MIN, 4, 3), 1, "a worker without a place would never accept");
    }

    #[tokio::test]
    async fn a_place_is_waited_for_and_the_oldest_goes_only_when_none_becomes_free() {
        let handshakes = Handshakes::new(Rc::default());
        let (first, second) = (handshakes.begin(), handshakes.begin());
        handshakes.room(3).await;

        tokio::join!(handshakes.room_within(2, Duration::from_secs(600)), async { drop(second) });
        assert_eq!(handshakes.pending.borrow().len(), 1, "it ended by itself");

        let third = handshakes.begin();
        handshakes.room_within(2, Duration::from_millis(1)).await;
        first.evicted().await;
        assert_eq!(handshakes.pending.borrow().len(), 1);
        drop((first, third));
        assert!(handshakes.pending.borrow().is_empty());
    }
}
