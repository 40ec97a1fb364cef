//! How slowly a request's body may come.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::BodyError;

/// The request's response has begun: from then on its body may take its time.
pub type Answered = Rc<Cell<bool>>;

/// Bounds how long a client is waited for while hardly anything comes.
///
/// Only the time in which the client is waited for counts, never that in which the endpoint is. A trickle counts as
/// silence: the time begins anew with every [`PROGRESS`] bytes.
#[derive(Debug)]
pub struct Pace {
    limit: Duration,
    answered: Answered,
    /// What was waited in all since the last progress.
    waited: Duration,
    waiting_since: Option<Instant>,
    /// What came since the last progress.
    came: usize,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    /// At most `limit` without progress, until `answered`.
    pub const fn new(limit: Duration, answered: Answered) -> Self {
        Self { limit, answered, waited: Duration::ZERO, waiting_since: None, came: 0, timer: None }
    }

    /// So many bytes came.
    pub fn came(&mut self, bytes: usize) {
        if let Some(since) = self.waiting_since.take() {
            self.waited += since.elapsed();
        }
        self.came = self.came.saturating_add(bytes);
        if self.came >= PROGRESS {
            self.came = 0;
            self.waited = Duration::ZERO;
        }
    }

    /// Nothing is there: ready when that has lasted too long.
    pub fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<BodyError> {
        if self.answered.get() {
            return Poll::Pending;
        }
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let due = since + self.limit.saturating_sub(self.waited);
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        // The timer may be older than the last progress: it is only looked at when it goes off.
        while timer.as_mut().poll(cx).is_ready() {
            if self.answered.get() {
                return Poll::Pending;
            }
            if timer.deadline() >= due {
                return Poll::Ready(BodyError::Stalled { limit: self.limit });
            }
            timer.as_mut().reset(due);
        }
        Poll::Pending
    }
}

/// What counts as progress: a client that sends less in its whole time wants to be waited for, not to be served.
pub const PROGRESS: usize = 1024;

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Waker;

    use super::*;

    fn pace(milliseconds: u64) -> (Pace, Answered) {
        let answered = Answered::default();
        (Pace::new(Duration::from_millis(milliseconds), Rc::clone(&answered)), answered)
    }

    #[tokio::test]
    async fn silence_ends_it() {
        let (mut pace, _) = pace(20);
        let stalled = poll_fn(|cx| pace.poll_stalled(cx)).await;
        assert!(matches!(stalled, BodyError::Stalled { .. }));
        assert!(pace.waiting_since.is_some_and(|since| since.elapsed() >= Duration::from_millis(20)));
    }

    #[tokio::test]
    async fn a_trickle_is_no_progress() {
        let (mut pace, _) = pace(50);
        let mut came = 0;
        loop {
            let waiting = poll_fn(|cx| pace.poll_stalled(cx));
            if tokio::time::timeout(Duration::from_millis(5), waiting).await.is_ok() {
                break;
            }
            pace.came(1);
            came += 1;
        }
        assert!((1..PROGRESS).contains(&came), "{came}");
    }

    #[tokio::test]
    async fn progress_begins_it_anew_and_the_endpoint_s_time_does_not_count() {
        let (mut pace, _) = pace(3_600_000);
        assert!(pace.poll_stalled(&mut Context::from_waker(Waker::noop())).is_pending());
        pace.came(PROGRESS - 1);
        assert!(pace.waited > Duration::ZERO);
        assert_eq!(pace.waiting_since, None);
        pace.came(1);
        assert_eq!((pace.waited, pace.came), (Duration::ZERO, 0));
    }

    #[tokio::test]
    async fn behind_the_response_s_beginning_it_may_take_its_time() {
        let (mut pace, answered) = pace(0);
        answered.set(true);
        assert!(pace.poll_stalled(&mut Context::from_waker(Waker::noop())).is_pending());
        answered.set(false);
        poll_fn(|cx| pace.poll_stalled(cx)).await;
    }
}
