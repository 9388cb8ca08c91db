//! A range of addresses, as `10.0.0.0/8` or `2001:db8::/32`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// All addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    first: IpAddr,
    bits: u8,
}

/// A text is no network: not an address, too many bits, or bits behind the prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotANetwork;

impl fmt::Display for NotANetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a network is an address, or its first bits, such as 10.0.0.0/8, 192.0.2.7 or 2001:db8::/32")
    }
}

impl std::error::Error for NotANetwork {}

impl Network {
    /// What begins with the first `bits` of an address, whatever its other bits are. More bits than
    /// there are mean all.
    #[must_use]
    pub const fn around(address: IpAddr, bits: u8) -> Self {
        match address {
            IpAddr::V4(v4) => {
                let bits = if bits > 32 { 32 } else { bits };
                let mask = if bits == 0 { 0 } else { u32::MAX << (32 - bits) };
                Self { first: IpAddr::V4(std::net::Ipv4Addr::from_bits(v4.to_bits() & mask)), bits }
            }
            IpAddr::V6(v6) => {
                let bits = if bits > 128 { 128 } else { bits };
                let mask = if bits == 0 { 0 } else { u128::MAX << (128 - bits) };
                Self { first: IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask)), bits }
            }
        }
    }

    /// Whether an address is one of these. An IPv4 address may be written as an IPv6 one.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.first.is_ipv4() && Self::around(address, self.bits).first == self.first
    }

    /// This machine.
    #[must_use]
    pub fn loopback() -> [Self; 2] {
        [Self::around(IpAddr::from([127, 0, 0, 0]), 8), Self::around(Ipv6Addr::LOCALHOST.into(), 128)]
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NotANetwork)?;
        let all = if address.is_ipv4() { 32 } else { 128 };
        let is_number = |bits: &str| !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
        let bits = match bits {
            Some(bits) if is_number(bits) => bits.parse().map_err(|_| NotANetwork)?,
            Some(_) => return Err(NotANetwork),
            None => all,
        };
        let network = Self::around(address, bits);
        // 10.1.2.3/8 is somebody's mistake: which of the two did they mean?
        if bits > all || network.first != address { Err(NotANetwork) } else { Ok(network) }
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
    fn a_network_holds_what_begins_like_it() {
        let cases = [
            ("10.0.0.0/8", "10.255.1.2", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("10.0.0.0/8", "a00::", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.6", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "::1", true),
            ("::/0", "192.0.2.1", false),
            ("2001:db8::/33", "2001:db8:7fff::1", true),
            ("2001:db8::/33", "2001:db8:8000::1", false),
            ("2001:db8::1/128", "2001:db8::1", true),
        ];
        for (network, address, expected) in cases {
            let contains = network.parse::<Network>().unwrap().contains(address.parse().unwrap());
            assert_eq!(contains, expected, "{network} and {address}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        let wrong = [
            "",
            "10",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.1.0.0/8",
            "::/129",
            "::1/64",
            "a/8",
            "10.0.0.0/8/8",
        ];
        for text in wrong {
            assert_eq!(text.parse::<Network>(), Err(NotANetwork), "{text}");
        }
        assert_eq!("10.0.0.0/8".parse::<Network>().unwrap().to_string(), "10.0.0.0/8");
    }
}
