//! What the parsers promise of any text: they never panic, what is shown and parsed again is the same, and an error
//! stands at a place of the text.
//!
//! A [`Target`] is one parser with its promises. Three engines look for a text that breaks one: the tests of this crate
//! try a fixed list of texts, `fuzz` tries random ones for a time ([`Texts`]), `guided` lets libFuzzer lead by coverage.
//! `scripts/fuzz.sh` runs the engines. A text that broke a promise becomes a file of `regressions/`, which the tests
//! read.

mod target;
mod targets;
mod texts;

pub use self::target::{Target, all, named};
pub use self::texts::{Texts, smallest};
