//! What `waypost explain` and the delegator say: the JSON that scripts rely on, and the text that people read.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a broken assumption ends the test")]

mod commands;
mod contract;
mod docs;
mod fallback;
mod lab;
mod names;
mod outcomes;
mod tls;
