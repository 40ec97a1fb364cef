//! What commands print: results to stdout, findings and errors to stderr, colour only where somebody sees it.

use std::error::Error;
use std::io::Write;

use waypost_naming::Finding;

use super::{FAILED, OK};

/// A result. A reader that went away (`| head`) is no error.
pub fn out(text: &str) -> u8 {
    let mut stdout = anstream::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    if written.is_ok() { OK } else { FAILED }
}

/// Findings, each with its place and hint.
pub fn findings(findings: &[Finding]) {
    for finding in findings {
        anstream::eprintln!("{}", finding.render(true));
    }
}

/// An error and its causes; gives the exit code that goes with it.
pub fn error(error: &dyn Error) -> u8 {
    anstream::eprintln!("error: {}", crate::cause::chain(error));
    FAILED
}
