//! What an HTTP/1.1 client sends: it is judged alike however the network cuts it.

use waypost::server::heads::{Fault, Heads};

use crate::target::Target;

pub(crate) fn target() -> Target {
    let words = [
        "GET ",
        "POST ",
        "/",
        "#",
        " HTTP/1.1\r\n",
        "HTTP/1.0",
        "Host: a\r\n",
        "Content-Length: ",
        "content-length:",
        "Transfer-Encoding: ",
        "chunked",
        "gzip",
        ", ",
        "0",
        "3",
        "5",
        "ff",
        "+",
        "\r\n",
        "\r",
        "\n",
        "\r\n\r\n",
        "\n\n",
        " ",
        "\t",
        ":",
        ";",
        "abc",
        "abcde",
        "\0",
        "3\r\nabc\r\n",
        "0\r\n\r\n",
        "0\r\nA: b\r\n\r\n",
    ];
    let seeds = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nA: b\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
    ];
    Target::new("heads", holds, &words, &seeds)
}

fn holds(text: &str) {
    let whole = judged(text.as_bytes(), text.len());
    for size in [1, 2, 3, 5, 130] {
        assert_eq!(judged(text.as_bytes(), size), whole, "in pieces of {size}");
    }
}

/// Heads without a fault, what is wrong with the one after them, and what the end of the bytes is in.
fn judged(bytes: &[u8], size: usize) -> (u64, Option<Fault>, bool, bool) {
    let mut heads = Heads::default();
    let broken = bytes.chunks(size.max(1)).any(|piece| heads.pass(piece).is_err());
    let whole = (0..).find(|number| heads.fault(*number).is_some()).unwrap_or_default();
    (whole, heads.fault(whole), heads.is_between(), broken)
}
