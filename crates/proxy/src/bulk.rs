//! Large bodies in large pieces: a copy costs the same however it is cut, and waking the next task and the peer does not.
//!
//! hyper reads as much as there is, up to its `max_buf_size`, and what it has read it keeps until it is written. A peer
//! that takes nothing would pin all of that, so two things are bounded here:
//! - [`Appetite`]: a connection reads [`MODEST`] bytes at a time, until it has shown that there is much to come. Then it
//!   may read up to [`LARGE`]; so may [`PLACES`] connections of a worker at one time, and no more.
//! - [`Ahead`]: of a body, no more is handed to the writer than the socket has taken, and 64 KiB.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::request::interim::{wake, wakes};

/// Longest read of any connection: hyper's `max_buf_size`.
pub const LARGE: usize = 256 * 1024;
/// Longest read of a connection that has no place among the large ones. A byte less than a buffer of hyper's, so that
/// hyper never sees one filled, and asks for no larger one.
pub const MODEST: usize = 64 * 1024 - 1;
/// So many connections of a worker may read that much at a time: with three pieces pinned by each, 12 MiB.
pub const PLACES: usize = 16;
/// How far a body may run ahead of its socket, beside its last piece.
const AHEAD: usize = 64 * 1024;
/// So many reads in a row have to be as long as they may be.
const HUNGRY: u8 = 4;

/// The places of a worker for connections that may have more memory at a time than others.
#[derive(Debug)]
pub struct Places {
    all: usize,
    taken: Cell<usize>,
}

impl Places {
    /// So many.
    pub fn new(all: usize) -> Rc<Self> {
        Rc::new(Self { all, taken: Cell::new(0) })
    }

    /// How many are taken.
    pub fn taken(&self) -> usize {
        self.taken.get()
    }

    /// One of them, where one is free.
    pub fn take(self: &Rc<Self>) -> Option<Place> {
        let taken = self.taken.get();
        (taken < self.all).then(|| {
            self.taken.set(taken + 1);
            Place(Rc::clone(self))
        })
    }
}

/// A place, given back when it is dropped.
#[derive(Debug)]
pub struct Place(Rc<Places>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.set(self.0.taken.get().saturating_sub(1));
    }
}

/// How much one connection may read at a time.
#[derive(Debug)]
pub struct Appetite {
    places: Rc<Places>,
    full: u8,
    place: Option<Place>,
}

impl Appetite {
    /// Modest, with the prospect of one of `places`.
    pub const fn new(places: Rc<Places>) -> Self {
        Self { places, full: 0, place: None }
    }

    /// At most so many bytes.
    pub const fn limit(&self) -> usize {
        if self.place.is_some() { LARGE } else { MODEST }
    }

    /// So many came. One short read ends the appetite: there is no more to come just now.
    pub fn came(&mut self, bytes: usize) {
        if bytes < MODEST {
            self.full = 0;
            self.place = None;
        } else if self.place.is_none() {
            self.full += 1;
            if self.full >= HUNGRY {
                self.full = 0;
                self.place = self.places.take();
            }
        }
    }
}

/// What of a body has been handed to the writer, and not yet taken by the socket.
#[derive(Debug, Default)]
pub struct Ahead {
    bytes: Cell<usize>,
    waker: RefCell<Option<Waker>>,
}

impl Ahead {
    /// Ready when more may be handed over.
    pub fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.bytes.get() < AHEAD {
            return Poll::Ready(());
        }
        wakes(&self.waker, cx.waker());
        Poll::Pending
    }

    /// So many bytes were handed over.
    pub fn gave(&self, bytes: usize) {
        self.bytes.set(self.bytes.get().saturating_add(bytes));
    }

    /// The socket has taken all.
    pub fn flushed(&self) {
        if self.bytes.replace(0) >= AHEAD {
            wake(&self.waker);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_grow_with_what_comes_and_places_are_bounded() {
        let places = Places::new(PLACES);
        let hungry = |places: &Rc<Places>| {
            let mut appetite = Appetite::new(Rc::clone(places));
            (0..HUNGRY).for_each(|_| appetite.came(appetite.limit()));
            appetite
        };
        let mut all: Vec<Appetite> = (0..PLACES).map(|_| hungry(&places)).collect();
        assert!(all.iter().all(|appetite| appetite.limit() == LARGE));
        assert_eq!(hungry(&places).limit(), MODEST, "one too many");
        all[0].came(10);
        assert_eq!(all[0].limit(), MODEST);
        assert_eq!(hungry(&places).limit(), LARGE, "a place was given back");
        drop(all);
        assert_eq!(places.taken(), 0);
    }

    #[test]
    fn a_body_waits_for_its_socket() {
        let (ahead, mut cx) = (Ahead::default(), Context::from_waker(Waker::noop()));
        assert!(ahead.poll_room(&mut cx).is_ready());
        ahead.gave(AHEAD - 1);
        assert!(ahead.poll_room(&mut cx).is_ready());
        ahead.gave(1);
        assert!(ahead.poll_room(&mut cx).is_pending());
        ahead.flushed();
        assert!(ahead.poll_room(&mut cx).is_ready());
    }
}
