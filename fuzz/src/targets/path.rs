//! `/svc/users`.

use waypost_naming::{Path, PathBuffer};

use super::{NAMES, is_told};
use crate::target::Target;

pub(crate) fn target() -> Target {
    let seeds = ["/", "/svc/users", " /a/b # c", r"/\x61\x20\x62/c", "/#/io.l5d.fs/web:80", "/$/inet/127.1/80/x%20"];
    Target::new("path", holds, &NAMES, &seeds)
}

fn holds(text: &str) {
    match Path::parse(text) {
        Ok(path) => {
            assert_eq!(Path::parse(&path.to_string()), Ok(path.clone()));
            assert!(path.segments().iter().all(|segment| !segment.as_bytes().is_empty()));
            assert!((0..=path.len()).all(|count| path.take(count).concat(&path.drop(count)) == path));
            let mut buffer = PathBuffer::new();
            buffer.extend(&path);
            assert_eq!(buffer.to_path(), path);
        }
        Err(error) => is_told(text, &error),
    }
}
