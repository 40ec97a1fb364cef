//! State that all workers share by key: what a user limits is limited for the process, not for a worker.
//!
//! Asked when a worker makes a route or an endpoint, never on a request's way: the lock inside is a cold one.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Values that live as long as somebody holds them, found again by key.
#[derive(Debug)]
pub struct ProcessWide<K, V> {
    values: Mutex<Values<K, V>>,
}

#[derive(Debug)]
struct Values<K, V> {
    map: HashMap<K, Weak<V>>,
    /// Dead entries are swept when the map has doubled since the last sweep, so that it is never mostly dead.
    sweep_at: usize,
}

impl<K: Eq + Hash, V> Default for ProcessWide<K, V> {
    fn default() -> Self {
        Self { values: Mutex::new(Values { map: HashMap::new(), sweep_at: SMALLEST_SWEEP }) }
    }
}

impl<K: Eq + Hash, V> ProcessWide<K, V> {
    /// The value that others hold under `key`, or a new one.
    pub fn share(&self, key: K, make: impl FnOnce() -> V) -> Arc<V> {
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = values.map.get(&key).and_then(Weak::upgrade) {
            return value;
        }
        if values.map.len() >= values.sweep_at {
            values.map.retain(|_, value| value.strong_count() > 0);
            values.sweep_at = SMALLEST_SWEEP.max(values.map.len() * 2);
        }
        let value = Arc::new(make());
        values.map.insert(key, Arc::downgrade(&value));
        value
    }
}

const SMALLEST_SWEEP: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_shared_while_it_is_held_and_made_anew_after() {
        let shared = ProcessWide::<u8, u8>::default();
        let held = shared.share(1, || 7);
        assert_eq!(*shared.share(1, || 8), 7);
        drop(held);
        assert_eq!(*shared.share(1, || 9), 9);
    }

    #[test]
    fn what_nobody_holds_is_swept() {
        let shared = ProcessWide::<usize, ()>::default();
        for key in 0..10 * SMALLEST_SWEEP {
            shared.share(key, || ());
        }
        assert!(shared.values.lock().expect("not poisoned").map.len() <= SMALLEST_SWEEP);
    }
}
