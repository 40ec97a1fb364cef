//! `waypost certs`: a development CA and leaves under it, printing the files it wrote, one a line; and certificates
//! shown.

pub mod show;

use std::io::{self, Write};
use std::path::Path;

use crate::tls::mint::{self, Issued, LeafOptions, LeafShape, MintError, Renewal};

/// `waypost certs init DIR`.
///
/// # Errors
/// When there is a CA already, or the files can't be written.
pub fn init(dir: &Path) -> Result<(), MintError> {
    report(&mint::init(dir)?);
    Ok(())
}

/// `waypost certs issue DIR NAME... [--days DAYS] [--cn-only]`.
///
/// # Errors
/// When there is no CA, a name is none, or the files can't be written; [`MintError::is_usage`] tells the exit code.
pub fn issue(dir: &Path, names: &[String], days: u32, cn_only: bool) -> Result<(), MintError> {
    let shape = if cn_only { LeafShape::CommonNameOnly } else { LeafShape::AlternativeNames };
    report(&mint::issue(dir, names, LeafOptions { days, shape })?);
    Ok(())
}

/// `waypost certs renew DIR [NAME...] [--days DAYS] [--within DAYS]`: the files that were written on stdout, what was left
/// and why on stderr.
///
/// # Errors
/// When there is no CA, a name is no leaf, or the files can't be written.
pub fn renew(dir: &Path, names: &[String], renewal: Renewal) -> Result<(), MintError> {
    let renewed = mint::renew(dir, names, renewal)?;
    renewed.issued.iter().for_each(report);
    for (file, why) in &renewed.left {
        drop(writeln!(anstream::stderr(), "{}: left as it is: {why}", file.display()));
    }
    Ok(())
}

fn report(issued: &Issued) {
    let mut out = io::stdout().lock();
    // A reader that went away is not our failure: the files are there.
    drop(writeln!(out, "{}\n{}", issued.cert.display(), issued.key.display()));
}
