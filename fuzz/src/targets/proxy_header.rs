//! The header of a balancer: read piece by piece it never asks for more than there is of it, and means one thing.

use waypost::server::proxy_protocol::{Parsed, parse};

use crate::target::Target;

pub(crate) fn target() -> Target {
    let words = [
        "PROXY ",
        "TCP4 ",
        "TCP6 ",
        "UNKNOWN",
        "192.0.2.1 ",
        "::1 ",
        "80",
        "65536",
        " ",
        "\r\n",
        "\r",
        "\r\n\r\n\0\r\nQUIT\n",
        "!\x11\0\x0c",
        "!\x21\0\x24",
        " \0\0\0",
        "!\x31\0\x7f",
        "\0\0\0\0",
        "GET / HTTP/1.1\r\n",
    ];
    let seeds = [
        "PROXY TCP4 192.0.2.1 10.0.0.1 12345 80\r\n",
        "PROXY TCP6 2001:db8::1 ::1 12345 80\r\n",
        "PROXY UNKNOWN\r\n",
        "\r\n\r\n\0\r\nQUIT\n!\x11\0\x0c\x01\x02\x03\x04\x05\x06\x07\x08\0\x50\0\x50",
        "\r\n\r\n\0\r\nQUIT\n \0\0\0",
    ];
    Target::new("proxy_header", holds, &words, &seeds)
}

fn holds(text: &str) {
    let bytes = text.as_bytes();
    let mut length = 15.min(bytes.len());
    while let Ok(Parsed::Part(missing)) = parse(bytes.get(..length).unwrap_or_default()) {
        assert!(missing > 0, "it goes on");
        length += missing;
        if length > bytes.len() {
            return;
        }
    }
    assert!(length <= 16 + 4096, "it is bounded");
}
