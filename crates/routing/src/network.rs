//! A range of IP addresses: `10.1.2.0/24`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// All addresses that begin with the same bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Network {
    /// Its first address.
    first: IpAddr,
    /// How many bits are the same.
    bits: u8,
}

/// Why a text is no network.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NetworkError {
    /// It has no `/`.
    #[error("a network is written `ADDRESS/BITS`, such as `10.1.2.0/24`")]
    Shape,
    /// There is no IP address before the `/`.
    #[error("a network begins with an IP address")]
    Address,
    /// The number behind the `/` is none, or too great for that kind of address.
    #[error("a network ends in the number of bits that its addresses share: 0 to 32 for IPv4, 0 to 128 for IPv6")]
    Bits,
}

impl Network {
    /// The network of that size that `member` is in; `None` when an address has fewer bits.
    #[must_use]
    pub fn of(member: IpAddr, bits: u8) -> Option<Self> {
        let first = match member {
            IpAddr::V4(ip) if bits <= 32 => {
                let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
                Ipv4Addr::from_bits(ip.to_bits() & mask).into()
            }
            IpAddr::V6(ip) if bits <= 128 => {
                let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
                Ipv6Addr::from_bits(ip.to_bits() & mask).into()
            }
            IpAddr::V4(_) | IpAddr::V6(_) => return None,
        };
        Some(Self { first, bits })
    }

    /// Whether `ip` is in it. An IPv4 address in IPv6 form (`::ffff:10.1.2.3`) counts as IPv4.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        ip.is_ipv4() == self.first.is_ipv4() && Self::of(ip, self.bits) == Some(*self)
    }

    /// Its first address.
    #[must_use]
    pub const fn first(&self) -> IpAddr {
        self.first
    }

    /// How many bits its addresses share.
    #[must_use]
    pub const fn bits(&self) -> u8 {
        self.bits
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    /// Any address of the network may stand before the `/`: `10.1.2.3/24` is `10.1.2.0/24`.
    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (member, bits) = text.split_once('/').ok_or(NetworkError::Shape)?;
        let member = member.parse().map_err(|_| NetworkError::Address)?;
        let is_number = !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
        let bits = if is_number { bits.parse().ok() } else { None };
        bits.and_then(|bits| Self::of(member, bits)).ok_or(NetworkError::Bits)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_read_from_any_of_its_addresses() {
        for (text, shown) in [
            ("10.1.2.0/24", Ok("10.1.2.0/24")),
            ("10.1.2.3/24", Ok("10.1.2.0/24")),
            ("10.1.2.3/32", Ok("10.1.2.3/32")),
            ("10.1.2.3/0", Ok("0.0.0.0/0")),
            ("fd00::1/8", Ok("fd00::/8")),
            ("::1/128", Ok("::1/128")),
            ("::1/0", Ok("::/0")),
            ("10.1.2.0", Err(NetworkError::Shape)),
            ("10.1.2/24", Err(NetworkError::Address)),
            ("users/24", Err(NetworkError::Address)),
            ("10.1.2.0/33", Err(NetworkError::Bits)),
            ("10.1.2.0/", Err(NetworkError::Bits)),
            ("10.1.2.0/+8", Err(NetworkError::Bits)),
            ("::/129", Err(NetworkError::Bits)),
            ("::/256", Err(NetworkError::Bits)),
        ] {
            let network = text.parse::<Network>().map(|network| network.to_string());
            assert_eq!(network, shown.map(str::to_owned), "{text}");
        }
    }

    #[test]
    fn a_network_has_the_addresses_that_begin_alike() {
        for (network, ip, is_in) in [
            ("10.1.2.0/24", "10.1.2.0", true),
            ("10.1.2.0/24", "10.1.2.255", true),
            ("10.1.2.0/24", "10.1.3.0", false),
            ("10.1.2.0/24", "::ffff:10.1.2.7", true),
            ("10.1.2.0/23", "10.1.3.0", true),
            ("0.0.0.0/0", "255.255.255.255", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "10.0.0.1", false),
            ("fd00::/8", "fdff::1", true),
            ("fd00::/8", "fe80::1", false),
        ] {
            let network: Network = network.parse().unwrap();
            assert_eq!(network.contains(ip.parse().unwrap()), is_in, "{ip} in {network}");
        }
    }
}
