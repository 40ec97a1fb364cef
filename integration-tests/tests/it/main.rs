//! waypost's promises, each kept by the real binary between real peers. One module per promise.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests are test code too, which the lints' own exception for tests does not see"
)]

mod harness;
