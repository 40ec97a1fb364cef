//! Errors and their causes, said in one line.

use std::error::Error;
use std::io;

/// The error and all its causes, outermost first, with colons between.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    for cause in causes(error) {
        text.push_str(": ");
        text.push_str(&cause.to_string());
    }
    text
}

/// The causes of an error, outermost first.
pub fn causes<'a>(error: &'a dyn Error) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(error.source(), |cause: &&'a (dyn Error + 'static)| Error::source(*cause))
}

/// What the system says when a peer has taken nothing for too long, or is gone without a word.
pub fn is_time_out(error: &(dyn Error + 'static)) -> bool {
    std::iter::once(error)
        .chain(causes(error))
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::TimedOut)
}
