//! Power of two choices: the one with fewer requests in flight.

use super::Load;

/// With equal load the first drawn stays, so that shares follow the weights.
pub(super) fn second_is_better<L: Load>(first: &L, second: &L) -> bool {
    second.in_flight() < first.in_flight()
}
