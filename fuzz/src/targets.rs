//! The parsers, one in each file, and what holds for all their errors.

pub(crate) mod config;
pub(crate) mod delegation;
pub(crate) mod dtab;
pub(crate) mod endpoints;
pub(crate) mod heads;
pub(crate) mod path;
pub(crate) mod pattern;
pub(crate) mod prefix;
pub(crate) mod proxy_header;
pub(crate) mod template;
pub(crate) mod tree;

use waypost_naming::{Lines, ParseError, Span};

/// A span is a piece of the text, between characters, and its place is where one gets by counting.
fn is_placed(text: &str, span: Span) {
    assert!(text.get(span.start..span.end).is_some(), "{span:?} is no piece of the text");
    let before = text.get(..span.start).unwrap_or_default();
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let place = (before.matches('\n').count() + 1, column);
    assert_eq!(Lines::new(text).line_col(span.start), place);
}

fn is_told(text: &str, error: &ParseError) {
    is_placed(text, error.span);
    is_one_line(&error.to_string());
    error.kind.hint().into_iter().for_each(is_one_line);
}

/// Messages are one line, in which nothing moves a cursor.
fn is_one_line(message: &str) {
    assert!(!message.is_empty() && !message.contains(char::is_control), "{message:?}");
}

/// What dtabs and their parts are made of.
const NAMES: [&str; 44] = [
    "/",
    "//",
    "/a",
    "/b",
    "/svc",
    "/#/fs",
    "/$/inet",
    "/127.0.0.1/80",
    "/*",
    "*",
    "/a/*",
    "\\x2f",
    "\\x00",
    "\\xff",
    "\\x",
    "\\",
    "=>",
    "=",
    ">",
    " => ",
    ";",
    " ;\n",
    ";;",
    "|",
    " | ",
    "&",
    " & ",
    "(",
    ")",
    "~",
    "!",
    "$",
    "0.5*",
    "1 * ",
    "0*",
    ".",
    "9999999999999999999999",
    "# comment\n",
    "#",
    "\n",
    " ",
    "\t",
    "\u{a0}",
    "\u{e9}",
];
