//! How much was done, for tests that promise a bound: counted, not timed. Outside of this crate's tests it is nothing.

/// Notes `steps`: characters that a parser looked at, nodes that a look-up came by.
#[cfg(not(test))]
#[inline]
pub(crate) const fn count(_steps: usize) {}

#[cfg(test)]
pub(crate) use counted::{count, of};

#[cfg(test)]
mod counted {
    use std::cell::Cell;

    thread_local! {
        static STEPS: Cell<usize> = const { Cell::new(0) };
    }

    pub(crate) fn count(steps: usize) {
        STEPS.set(STEPS.get() + steps);
    }

    /// What `action` gives, and the steps that it took.
    pub(crate) fn of<T>(action: impl FnOnce() -> T) -> (T, usize) {
        let before = STEPS.get();
        let done = action();
        (done, STEPS.get() - before)
    }
}
