//! Ports for the tests, from below the range that the kernel gives to clients: a port that is handed out here is not taken
//! by somebody's outgoing connection in the time until the proxy listens on it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// A port that nobody listens on, and that no other test gets.
pub fn free_port() -> u16 {
    free_ports(1)
}

/// An address on which nobody listens.
pub fn nobody() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()))
}

/// The first of `count` consecutive free ports.
pub fn free_ports(count: u16) -> u16 {
    for _ in 0..RANGE {
        let taken = NEXT.fetch_add(u32::from(count), Ordering::Relaxed);
        let offset = (std::process::id() * BLOCK + taken) % RANGE;
        let base = FIRST + u16::try_from(offset).expect("the range fits a port");
        if (base..base + count).all(is_free) {
            return base;
        }
    }
    panic!("no {count} consecutive free ports from {FIRST} on");
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
}

static NEXT: AtomicU32 = AtomicU32::new(0);
const FIRST: u16 = 20_000;
const RANGE: u32 = 12_000;
/// Test processes that run side by side (one per test under some runners) start this far apart.
const BLOCK: u32 = 64;
