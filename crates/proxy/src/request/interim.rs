//! What is said before an answer: interim responses (1xx) on their way from an endpoint to the client, and the 100 that
//! a client waits for before it uploads.
//!
//! `Expect: 100-continue` goes on to the endpoint, and its decision counts (RFC 9110 section 10.1.1): until its 100
//! nothing of the body is read, so the client gets none from us either. An endpoint that says nothing is not waited for
//! longer than a client would.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{HeaderMap, Response, StatusCode, Version};
use tokio::time::Sleep;

use super::headers;
use crate::body::BodyError;
use crate::server::transport::Progress;

/// Where interim responses go.
#[derive(Clone, Debug)]
pub enum Caller {
    /// On an HTTP/1.1 connection that waits for its answer.
    Http1(Rc<Progress>),
    /// On a stream of HTTP/2.
    Http2(Rc<Outbox>),
    /// HTTP/1.0 has none (RFC 9110 section 15.2).
    Http10,
}

/// Interim responses that wait to be sent on a stream.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: RefCell<Vec<Response<()>>>,
    waker: RefCell<Option<Waker>>,
}

impl Outbox {
    /// All that wait, in order. What comes later wakes this task.
    pub fn take(&self, waker: &Waker) -> Vec<Response<()>> {
        wakes(&self.waker, waker);
        std::mem::take(&mut self.waiting.borrow_mut())
    }

    fn put(&self, response: Response<()>) {
        self.waiting.borrow_mut().push(response);
        wake(&self.waker);
    }
}

/// The interim responses to one request.
#[derive(Clone, Debug)]
pub struct Interims {
    /// Who asked.
    pub caller: Caller,
    /// What it waits for, where it does.
    pub expectation: Option<Rc<Expectation>>,
    /// Nothing of the inside goes to it.
    pub clear: bool,
}

impl Interims {
    /// Passes one on. `received` is the version that it came in.
    pub fn pass_on(&self, status: StatusCode, received: Version, mut fields: HeaderMap) {
        if let (StatusCode::CONTINUE, Some(expectation)) = (status, &self.expectation) {
            // It is not sent twice: the first reading of the body is what sends it.
            return expectation.meet();
        }
        headers::clean_response(&mut fields, self.clear);
        fields.remove(http::header::CONTENT_LENGTH);
        headers::append_via(&mut fields, received);
        match &self.caller {
            Caller::Http1(progress) => progress.interim(status, &fields),
            Caller::Http2(outbox) => {
                let mut response = Response::new(());
                *response.status_mut() = status;
                *response.headers_mut() = fields;
                outbox.put(response);
            }
            Caller::Http10 => {}
        }
    }
}

/// A client waits for a 100 before it sends its body.
#[derive(Debug)]
pub struct Expectation {
    state: Cell<State>,
    waker: RefCell<Option<Waker>>,
    /// On HTTP/1.1 it is hyper that sends 100, when the body is first read.
    outbox: Option<Rc<Outbox>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Waiting,
    Met,
    GivenUp,
}

impl Expectation {
    /// Of `caller`.
    pub fn new(caller: &Caller) -> Rc<Self> {
        let outbox = match caller {
            Caller::Http2(outbox) => Some(Rc::clone(outbox)),
            Caller::Http1(_) | Caller::Http10 => None,
        };
        Rc::new(Self { state: Cell::new(State::Waiting), waker: RefCell::default(), outbox })
    }

    /// The body is wanted.
    pub fn meet(&self) {
        if self.state.get() != State::Waiting {
            return;
        }
        self.state.set(State::Met);
        if let Some(outbox) = &self.outbox {
            let mut response = Response::new(());
            *response.status_mut() = StatusCode::CONTINUE;
            outbox.put(response);
        }
        wake(&self.waker);
    }

    /// The body was not asked for so far.
    pub fn is_waiting(&self) -> bool {
        self.state.get() == State::Waiting
    }

    fn give_up(&self) {
        if self.is_waiting() {
            self.state.set(State::GivenUp);
            wake(&self.waker);
        }
    }
}

/// Ends the wait with whatever it belongs to: a body that was not wanted by then is not sent at all.
#[derive(Debug)]
pub struct Waiting(pub Rc<Expectation>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.give_up();
    }
}

/// Holds a body back.
#[derive(Debug)]
pub struct Hold {
    expectation: Rc<Expectation>,
    patience: Option<Pin<Box<Sleep>>>,
}

impl Hold {
    /// Until `expectation` is met. The time runs from the first poll on: when the request's head is on its way.
    pub const fn new(expectation: Rc<Expectation>) -> Self {
        Self { expectation, patience: None }
    }

    /// Ready when the body may be read.
    ///
    /// # Errors
    /// [`BodyError::Unwanted`]: the request was answered without it.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        match self.expectation.state.get() {
            State::Met => return Poll::Ready(Ok(())),
            State::GivenUp => return Poll::Ready(Err(BodyError::Unwanted)),
            State::Waiting => wakes(&self.expectation.waker, cx.waker()),
        }
        let patience = self.patience.get_or_insert_with(|| Box::pin(tokio::time::sleep(PATIENCE)));
        if patience.as_mut().poll(cx).is_ready() {
            // An endpoint of HTTP/1.0, or one that does not care.
            self.expectation.meet();
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }
}

/// Remembers whom to wake.
pub fn wakes(known: &RefCell<Option<Waker>>, waker: &Waker) {
    let mut known = known.borrow_mut();
    if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
        *known = Some(waker.clone());
    }
}

/// Wakes whoever is to be.
pub fn wake(known: &RefCell<Option<Waker>>) {
    let waker = known.take();
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// How long an endpoint is waited for: what curl waits.
const PATIENCE: Duration = Duration::from_secs(1);
