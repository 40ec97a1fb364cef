//! What errors say, and that no text costs more than its length.

use super::*;

/// The error of a dtab: its offset, message and hint.
fn error(text: &str) -> (usize, String, &'static str) {
    let error = dtab(text).unwrap_err();
    (error.span.start, error.to_string(), error.kind.hint().unwrap_or_default())
}

#[test]
fn errors_name_the_slip() {
    for (text, at, message) in [
        ("/a => /b\n/c => /d", 9, "missing `;` before this rule"),
        ("/a => /b /c => /d ; /e => /f", 9, "missing `;` before this rule"),
        ("/a => ! /c => /d", 8, "missing `;` before this rule"),
        ("/a => /b /c", 9, "expected the end of the text, found `/`"),
        ("/a => /b/ ; /c => /d", 9, "a path has no trailing `/`"),
        ("/a => /b/", 9, "a path has no trailing `/`"),
        ("/a/ => /b", 3, "a path has no trailing `/`"),
        ("/a//b => /b", 3, "a path has no empty segment"),
        ("/a => //b", 7, "a path has no empty segment"),
        ("/a* => /b", 2, "`*` cannot stand here"),
        ("/*a => /b", 2, "`*` cannot stand here"),
        ("/a => /b/*", 9, "`*` cannot stand here"),
        ("/a => /b*", 8, "`*` cannot stand here"),
        ("/a => /*", 7, "`*` cannot stand here"),
        ("/a = > /b", 4, "`=` and `>` touch"),
        ("/a -> /b", 3, "expected `=>`, found `-`"),
        ("/a == /b", 4, "expected `=>`, found `=`"),
        ("/a", 2, "expected `=>`, found the end of the text"),
        ("svc => /b", 0, "expected `/`, found `s`"),
        ("; /a => /b", 0, "there is no rule before this `;`"),
        ("/a => /b ;; /c => /d", 10, "there is no rule before this `;`"),
        ("/a@x => /b", 2, "`@` cannot stand in a path"),
        ("/a => /b,/c", 8, "`,` cannot stand in a path"),
        ("/a => /\u{e9}", 7, "`\u{e9}` cannot stand in a path"),
        ("/a => /b/\u{e9}", 9, "`\u{e9}` cannot stand in a path"),
        (r"/a => /\y", 8, "expected `\\x` and two hex digits, found `y`"),
        (r"/a => /\x2", 10, "expected `\\x` and two hex digits, found the end of the text"),
        ("/a => (/b | /c", 14, "expected `)`, found the end of the text"),
        ("/a => /b)", 8, "expected the end of the text, found `)`"),
        ("/a => ()", 7, "expected a path, a weight, `(`, `~`, `!` or `$`, found `)`"),
        ("/a => 0.5 /b", 10, "expected `*` between a weight and what it weighs, found `/`"),
        ("/a => 0.5 * 2 * /b", 12, "weights do not nest"),
        ("/a => . * /b", 7, "a weight is a finite decimal number, such as `0.25`"),
        ("/a => 0.1.2 * /b", 9, "expected `*` between a weight and what it weighs, found `.`"),
    ] {
        let (found_at, found, hint) = error(text);
        assert_eq!((found_at, found.as_str()), (at, message), "{text}");
        assert!(!hint.is_empty() || message.starts_with("expected a path"), "{text}: no hint");
    }
}

#[test]
fn weights_are_finite() {
    let text = format!("/a & {} * /b", "9".repeat(400));

    assert_eq!(tree(&text).unwrap_err().kind, ParseErrorKind::BadWeight);
}

#[test]
fn blank_is_what_java_calls_white_space() {
    for blank in ["\t", "\u{b}", "\u{1c}", "\u{2003}", "\u{2028}", "# x\n", "#\n#\n"] {
        assert!(path(&format!("{blank}/a {blank}")).is_ok(), "{blank:?}");
    }
    for other in ["\u{a0}", "\u{85}", "\u{202f}", "\u{2007}", "\u{200b}"] {
        assert_eq!(path(&format!("{other}/a")).unwrap_err().span, Span::new(0, other.len()), "{other:?}");
    }
}

#[test]
fn parentheses_nest_to_the_bound_and_no_deeper() {
    let nested = |depth: usize| format!("{}/a{}", "(".repeat(depth), ")".repeat(depth));

    assert!(tree(&nested(MAX_NESTING)).is_ok());
    assert_eq!(
        tree(&nested(MAX_NESTING + 1)).unwrap_err(),
        ParseError { kind: ParseErrorKind::TooDeep, span: Span::new(MAX_NESTING, MAX_NESTING + 1) }
    );
    assert_eq!(tree(&nested(100_000)).unwrap_err().kind, ParseErrorKind::TooDeep);
}

#[test]
fn long_texts_end_at_the_bound() {
    let blank = |length: usize| " ".repeat(length);

    assert!(dtab(&blank(MAX_TEXT)).is_ok());
    assert_eq!(dtab(&blank(MAX_TEXT + 1)).unwrap_err().kind, ParseErrorKind::TooLong);
}

/// Units that make long texts, and what can stand before them.
const UNITS: [&str; 42] = [
    "|",
    "/",
    "(",
    ")",
    "/a|",
    "/a&",
    "/a;",
    "/a=>/b;",
    "/a=>/b\n",
    "~|",
    "1*",
    "1",
    ".",
    "#",
    "#\n",
    "# x\n",
    "#x;\n",
    " ",
    "\u{2003}",
    "\\x61",
    "/\\x61",
    "\\x",
    "/a",
    "*",
    "/*",
    "/*=>/a;",
    "=",
    "=>",
    "= ",
    "!",
    "$",
    "&",
    ";",
    "; ",
    "/a=>~;",
    "/a =>/b /c",
    "(/a)|",
    "0.5*/a&",
    "9",
    "\u{1f600}",
    "a",
    "/a=>(/b|/c & 2*(~));",
];
const STARTS: [&str; 5] = ["", "/", "/a=>", "/a=>/b|", "/a=>1 * /b & "];

/// The errors of all parsers, and the characters that they looked at.
fn read(text: &str) -> (Vec<ParseError>, usize) {
    work::of(|| {
        [dtab(text).err(), tree(text).err(), path(text).err(), prefix(text).err()].into_iter().flatten().collect()
    })
}

#[test]
fn a_mebibyte_of_anything_is_read_by_a_few_looks_at_each_character() {
    for unit in UNITS {
        for start in STARTS {
            let text = start.to_owned() + &unit.repeat((1 << 20) / unit.len());
            let (error, looks) = work::of(|| dtab(&text).err());
            assert!(looks <= 16 * text.len(), "{start}{unit}..: {looks}");
            if let Some(found) = error {
                assert!(found.span.start <= found.span.end && found.span.end <= text.len(), "{start}{unit}..");
            }
        }
    }
}

#[test]
fn twice_the_text_is_twice_the_work() {
    for unit in UNITS {
        for start in STARTS {
            let looks = |times: usize| read(&(start.to_owned() + &unit.repeat(times))).1;
            let (once, twice) = (looks(1_000), looks(2_000));
            assert!(twice <= 2 * once + 64, "{start}{unit}..: {once}, then {twice}");
        }
    }
}

#[test]
fn nesting_of_a_hundred_thousand_ends_at_the_bound_after_a_few_looks() {
    for unit in ["(", "(/a|", "(/a&", "1*(", "~ & ( ", "(#x\n", "((("] {
        for text in [unit.repeat(100_000), format!("/a => {}", unit.repeat(100_000))] {
            let (errors, looks) = read(&text);
            assert!(errors.iter().any(|error| error.kind == ParseErrorKind::TooDeep), "{unit}: {errors:?}");
            assert!(looks <= 100 * MAX_NESTING * unit.len(), "{unit}: {looks}");
        }
    }
}
