//! Which label values exist: bounded in number for the process, and given up when nobody uses them.
//!
//! A counter that is taken away on one worker while another still counts would look like a reset in the sum of both, and
//! a reset looks like a burst of requests. So a label ends for all workers at once: the table marks it as retired, workers
//! drop their part at their next report, and [`super::MetricsReport`] leaves out whatever is retired by then.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a label names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A logical path.
    Service,
    /// A bound path.
    Client,
    /// A listener.
    Server,
    /// A router as a whole.
    Router,
    /// A bounded table of a router.
    Cache,
}

/// One label value in use.
#[derive(Debug)]
pub struct Label {
    /// Milliseconds since the table was made.
    used: AtomicU64,
    retired: AtomicBool,
}

impl Label {
    /// Whether the value was given up; what was counted under it is no longer shown.
    pub fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }
}

/// The label values of all workers. One per process; locked when a route is made or a report is asked for, never while a
/// request goes its way.
#[derive(Debug)]
pub struct LabelTable {
    started: Instant,
    limit: NonZeroUsize,
    idle: Duration,
    state: Mutex<State>,
}

/// The values of one kind in one router.
type Known = HashMap<Arc<str>, Arc<Label>>;

#[derive(Debug, Default)]
struct State {
    labels: HashMap<(Kind, Arc<str>), Known>,
    /// When each worker last reported, by its number.
    reported: HashMap<u64, u64>,
    workers: u64,
}

/// Values per kind and router when nothing else is said.
const DEFAULT_LIMIT: NonZeroUsize = NonZeroUsize::new(1_000).expect("is not zero");
/// How long nobody may hold or use a value before it is given up.
const DEFAULT_IDLE: Duration = Duration::from_secs(600);

impl Default for LabelTable {
    fn default() -> Self {
        Self::new(DEFAULT_LIMIT, DEFAULT_IDLE, Instant::now())
    }
}

impl LabelTable {
    /// `limit` is the number of values per kind and router (default 1,000), `idle` how long an unused one stays
    /// (default 10 minutes).
    pub fn new(limit: NonZeroUsize, idle: Duration, now: Instant) -> Self {
        Self { started: now, limit, idle, state: Mutex::default() }
    }

    pub(super) fn join(&self, now: Instant) -> u64 {
        let now = self.millis(now);
        let mut state = self.lock();
        state.workers += 1;
        let worker = state.workers;
        state.reported.insert(worker, now);
        worker
    }

    pub(super) fn leave(&self, worker: u64) {
        self.lock().reported.remove(&worker);
    }

    /// The label of `name`, made if there is room for one more; `None` when there is not: it counts as `other`.
    pub(super) fn admit(&self, kind: Kind, router: &Arc<str>, name: &Arc<str>, now: Instant) -> Option<Arc<Label>> {
        let now = self.millis(now);
        let mut state = self.lock();
        let full = state.labels.get(&(kind, Arc::clone(router))).is_some_and(|known| known.len() >= self.limit.get());
        if full {
            self.retire_idle(&mut state);
        }
        let known = state.labels.entry((kind, Arc::clone(router))).or_default();
        if let Some(label) = known.get(name) {
            label.used.fetch_max(now, Ordering::AcqRel);
            return Some(Arc::clone(label));
        }
        if known.len() >= self.limit.get() {
            return None;
        }
        let label = Arc::new(Label { used: AtomicU64::new(now), retired: AtomicBool::new(false) });
        known.insert(Arc::clone(name), Arc::clone(&label));
        Some(label)
    }

    /// A worker found the label in use when it made its report.
    pub(super) fn touch(&self, label: &Label, now: Instant) {
        label.used.fetch_max(self.millis(now), Ordering::AcqRel);
    }

    /// A worker made its report: all that it uses is touched.
    pub(super) fn reported(&self, worker: u64, now: Instant) {
        let now = self.millis(now);
        self.lock().reported.insert(worker, now);
    }

    /// Gives up what no worker used for long.
    pub(super) fn sweep(&self) {
        let mut state = self.lock();
        self.retire_idle(&mut state);
    }

    /// Only what every worker has looked at since counts as idle: a label that was touched at the last report of the
    /// slowest worker stays, however long ago that is.
    fn retire_idle(&self, state: &mut State) {
        let Some(looked) = state.reported.values().min().copied() else { return };
        let idle = u64::try_from(self.idle.as_millis()).unwrap_or(u64::MAX);
        for known in state.labels.values_mut() {
            known.retain(|_, label| {
                let stays = label.used.load(Ordering::Acquire).saturating_add(idle) > looked;
                if !stays {
                    label.retired.store(true, Ordering::Release);
                }
                stays
            });
        }
        state.labels.retain(|_, known| !known.is_empty());
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change under the lock is one insertion or removal: a panic in between leaves a table that is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
