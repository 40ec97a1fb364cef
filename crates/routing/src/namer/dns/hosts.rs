//! hosts(5): names that the machine knows by itself.

use std::collections::HashMap;
use std::net::IpAddr;

/// The names of one such file.
#[derive(Default, Debug)]
pub(super) struct Hosts {
    by_name: HashMap<String, Vec<IpAddr>>,
}

impl Hosts {
    /// Lines that are none are left out, as every resolver does.
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let mut hosts = Self::default();
        for line in String::from_utf8_lossy(bytes).lines() {
            let line = line.split_once('#').map_or(line, |(text, _)| text);
            let mut words = line.split_whitespace();
            // An address with a zone (`fe80::1%eth0`) can't be an endpoint.
            let Some(ip) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else { continue };
            for name in words {
                let ips = hosts.by_name.entry(key(name)).or_default();
                if !ips.contains(&ip) {
                    ips.push(ip);
                }
            }
        }
        hosts
    }

    /// Without regard to case and a dot at the end.
    pub(super) fn find(&self, name: &str) -> Option<&[IpAddr]> {
        self.by_name.get(&key(name)).map(Vec::as_slice)
    }
}

fn key(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_of_a_name_are_found() {
        let hosts = Hosts::parse(
            b"# a comment\n127.0.0.1\tlocalhost\n10.0.0.1 Users.example. users # billing\n\nfd00::1 users\n\
              10.0.0.1 users\nfe80::1%eth0 zoned\nnonsense here\n10.0.0.2\n\xff\xfe bytes\n10.0.0.3 last",
        );
        for (name, ips) in [
            ("localhost", vec!["127.0.0.1"]),
            ("users", vec!["10.0.0.1", "fd00::1"]),
            ("USERS.example", vec!["10.0.0.1"]),
            ("users.example.", vec!["10.0.0.1"]),
            ("last", vec!["10.0.0.3"]),
        ] {
            let ips: Vec<IpAddr> = ips.iter().map(|ip| ip.parse().unwrap()).collect();
            assert_eq!(hosts.find(name), Some(ips.as_slice()), "{name}");
        }
        for name in ["billing", "zoned", "here", "bytes", ""] {
            assert_eq!(hosts.find(name), None, "{name}");
        }
    }
}
