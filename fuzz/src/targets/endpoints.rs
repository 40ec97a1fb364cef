//! The text of a file of the `fs` namer.

use waypost_routing::endpoints_in;

use super::is_placed;
use crate::target::Target;

pub(crate) fn target() -> Target {
    let words = [
        "127.0.0.1",
        "::1",
        "users.local",
        "80",
        "65536",
        "0",
        " ",
        "\t",
        "\r\n",
        "\n",
        "#",
        "# x\n",
        "* ",
        "2.5",
        "-1",
        "inf",
        "NaN",
        "1e400",
        "1e-400",
        ".",
        ":",
        "[::1]",
        "a-b",
        "\u{e9}",
        "\u{2003}",
        "127.0.0.1 80\n",
        "*",
    ];
    let seeds = [
        "127.0.0.1 8080\n127.0.0.1 8081 * 2.5 # heavy\n",
        "\n# nothing\r\n::1\t80\r\nusers.local 443",
        "127.0.0.1 80\n127.0.0.1 http\n",
    ];
    Target::new("endpoints", holds, &words, &seeds)
}

fn holds(text: &str) {
    match endpoints_in(text) {
        Ok(count) => {
            let lines = text.split('\n').map(|line| line.split('#').next().unwrap_or_default().trim());
            assert_eq!(lines.filter(|line| !line.is_empty()).count(), count, "one for each line");
            assert_eq!(endpoints_in(&format!("{text}\n{text}")), Ok(2 * count));
        }
        Err(span) => {
            is_placed(text, span);
            let before = text.get(..span.start).unwrap_or_default();
            let lines = before.rfind('\n').map_or("", |newline| before.get(..newline).unwrap_or_default());
            assert!(endpoints_in(lines).is_ok(), "the first malformed line is told");
        }
    }
}
