//! What holds for a logical path, applied: which responses are failures, what is tried again, and how much of it.

pub mod budget;
pub mod classify;
