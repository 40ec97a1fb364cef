//! What a binding looked at, so that one comparison of numbers tells whether it still holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A counter beside one piece of state; grows whenever a fresh look at that state could come to another result.
///
/// Clones count together. Writers publish first and [`Version::bump`] then; readers take [`Version::current`] first
/// and look then: a reader that raced with a writer holds an old number and looks once more, never once too few.
#[derive(Clone, Debug, Default)]
pub(crate) struct Version(Arc<AtomicU64>);

impl Version {
    pub(crate) fn current(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    pub(crate) fn bump(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn place(&self) -> *const AtomicU64 {
        Arc::as_ptr(&self.0)
    }
}

/// All the state that one binding depends on, as it was then.
///
/// The addresses of a bound path are not part of it: they change without another decision being due, and are
/// compared by [`crate::AddressSet::version`].
#[derive(Clone, Debug, Default)]
pub struct Dependencies {
    seen: Vec<(Version, u64)>,
}

impl Dependencies {
    /// Whether anything that was looked at has changed since: one atomic load for each.
    #[must_use]
    pub fn changed(&self) -> bool {
        self.seen.iter().any(|(version, seen)| version.current() != *seen)
    }

    /// Notes the state behind `version` as it is now. Call it before looking at that state.
    pub(crate) fn note(&mut self, version: &Version) {
        self.note_as_of(version, version.current());
    }

    /// Notes the state behind `version` as it was when `seen` was read.
    pub(crate) fn note_as_of(&mut self, version: &Version, seen: u64) {
        // The same state one look after the other is the usual case; what else comes twice is found once, at the end.
        if !self.seen.last().is_some_and(|(last, _)| last.is(version)) {
            self.seen.push((version.clone(), seen));
        }
    }

    /// The same, each state once: sorted, since a wide union looks at thousands.
    ///
    /// A later look at the same state must not hide a change since the first one: the first number stays.
    pub(crate) fn settled(mut self) -> Self {
        self.seen.sort_by_key(|(version, _)| version.place());
        self.seen.dedup_by(|(later, _), (first, _)| later.is(first));
        self.seen.shrink_to_fit();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_once_any_noted_state_moves() {
        let (first, second) = (Version::default(), Version::default());
        let mut dependencies = Dependencies::default();
        dependencies.note(&first);
        assert!(!dependencies.changed());
        second.bump();
        assert!(!dependencies.changed(), "not looked at");
        first.bump();
        assert!(dependencies.changed());
        dependencies.note(&first);
        assert!(dependencies.changed(), "a second look does not forget the change");
    }

    #[test]
    fn settled_keeps_each_state_once_with_what_was_seen_first() {
        let versions = [(); 100].map(|()| Version::default());
        let mut dependencies = Dependencies::default();
        versions.iter().for_each(|version| dependencies.note(version));
        versions[7].bump();
        versions.iter().rev().for_each(|version| dependencies.note(version));
        let settled = dependencies.settled();
        assert_eq!(settled.seen.len(), versions.len());
        assert!(settled.changed());
        let seen: u64 = settled.seen.iter().map(|(_, seen)| seen).sum();
        assert_eq!(seen, 0);
    }
}
