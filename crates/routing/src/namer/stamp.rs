//! Whether a file is as it was when it was read, without reading it again.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What tells one content of a file from another, mostly.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether a file that was read at `at` and still has this stamp has the content that was read. Clocks of file
    /// systems are coarse: two writes in one tick leave one stamp.
    pub(super) fn vouches_at(&self, at: SystemTime) -> bool {
        let seconds = u64::try_from(self.changed.0).unwrap_or(0);
        at.duration_since(UNIX_EPOCH + Duration::from_secs(seconds)).is_ok_and(|age| age > COARSE)
    }
}

/// No file system's clock is coarser.
const COARSE: Duration = Duration::from_secs(2);
