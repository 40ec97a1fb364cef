//! Handshakes between both sides of `waypost::tls`: who is let through, who is refused, and in which words.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what goes wrong in a test's own preparation ends the test")]

mod callers;
mod chain;
mod clear_text;
mod docs;
mod hello;
mod lab;
mod names;
mod no_validation;
mod sessions;
