//! The PROXY protocol's header, versions 1 and 2: who is behind the proxy that connected.
//!
//! ```text
//! 1   PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n                       at most 107 bytes
//! 2   | signature: 12 | version, command | family | length: u16 | addresses | TLVs |
//!                                                                  at most 536 bytes
//! ```
//!
//! No sockets here: bytes in, a [`Header`] out. Only what a listed proxy sends may be read by this, since
//! anybody can write such a header. Lengths are checked before anything is looked at.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What a proxy says of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Who connected to the proxy. `None` where the proxy speaks for itself (a health check), or does not
    /// know, or where the family is one that has no addresses for us.
    pub source: Option<SocketAddr>,
    /// Bytes of the header. What follows is the connection's.
    pub len: usize,
}

/// Why bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyError {
    /// They begin as neither version does.
    Signature,
    /// It is longer than it may be.
    TooLong,
    /// A line that is not as version 1 writes it.
    Line,
    /// A version that is not 2.
    Version(u8),
    /// A command that is neither LOCAL nor PROXY.
    Command(u8),
    /// A family or protocol that version 2 does not know.
    Family(u8),
    /// Too short for the addresses of its family.
    Addresses,
    /// Its TLVs do not end where it does.
    Tlv,
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signature => f.write_str("no PROXY header"),
            Self::TooLong => f.write_str("a PROXY header that is too long"),
            Self::Line => f.write_str("a PROXY line that cannot be read"),
            Self::Version(version) => write!(f, "PROXY version {version}"),
            Self::Command(command) => write!(f, "PROXY command {command}"),
            Self::Family(family) => write!(f, "PROXY family {family:#04x}"),
            Self::Addresses => f.write_str("a PROXY header too short for its addresses"),
            Self::Tlv => f.write_str("a PROXY header with a broken extension"),
        }
    }
}

impl std::error::Error for ProxyError {}

/// The longest line of version 1, its end included.
pub const MAX_LINE: usize = 107;

/// The longest header of version 2 that is taken. 536: what every TCP segment can carry, as its document
/// asks of senders.
pub const MAX_BINARY: usize = 536;

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
const WORD: [u8; 6] = *b"PROXY ";

/// Reads the header at the front of `bytes`. `Ok(None)` means that it goes on: then all of `bytes` belongs
/// to it, and is shorter than [`MAX_BINARY`].
///
/// # Errors
/// Where this is no header, as soon as that is known.
pub fn decode(bytes: &[u8]) -> Result<Option<Header>, ProxyError> {
    let begins_as = |start: &[u8]| bytes.iter().zip(start).all(|(byte, expected)| byte == expected);
    if begins_as(&SIGNATURE) {
        decode_binary(bytes)
    } else if begins_as(&WORD) {
        decode_line(bytes)
    } else {
        Err(ProxyError::Signature)
    }
}

fn decode_line(bytes: &[u8]) -> Result<Option<Header>, ProxyError> {
    let head = bytes.get(..MAX_LINE).unwrap_or(bytes);
    let Some(end) = head.iter().position(|byte| *byte == b'\n') else {
        return if bytes.len() < MAX_LINE { Ok(None) } else { Err(ProxyError::TooLong) };
    };
    let line = head.get(..end).and_then(|line| line.strip_suffix(b"\r")).ok_or(ProxyError::Line)?;
    let line = std::str::from_utf8(line).map_err(|_| ProxyError::Line)?;
    let source = read_line(line).ok_or(ProxyError::Line)?;
    Ok(Some(Header { source, len: end + 1 }))
}

/// `None` where the line is wrong.
fn read_line(line: &str) -> Option<Option<SocketAddr>> {
    let rest = line.strip_prefix("PROXY ")?;
    // What follows UNKNOWN is to be ignored.
    if rest == "UNKNOWN" || rest.starts_with("UNKNOWN ") {
        return Some(None);
    }
    let mut words = rest.split(' ');
    let family = words.next()?;
    let mut addresses = || -> Option<IpAddr> {
        let word = words.next()?;
        match family {
            "TCP4" => word.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            "TCP6" => word.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    let (source, _destination) = (addresses()?, addresses()?);
    let mut ports = || words.next().and_then(read_port);
    let (port, _destination) = (ports()?, ports()?);
    words.next().is_none().then(|| Some(SocketAddr::new(source, port)))
}

/// A port without sign or leading zeros.
fn read_port(word: &str) -> Option<u16> {
    let plain = word.bytes().all(|byte| byte.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
    plain.then(|| word.parse().ok()).flatten()
}

fn decode_binary(bytes: &[u8]) -> Result<Option<Header>, ProxyError> {
    if let Some(byte) = bytes.get(12) {
        if byte >> 4 != 2 {
            return Err(ProxyError::Version(byte >> 4));
        }
        if byte & 0x0f > 1 {
            return Err(ProxyError::Command(byte & 0x0f));
        }
    }
    let Some([.., command, family, high, low]) = bytes.first_chunk::<16>().copied() else { return Ok(None) };
    let len = 16 + usize::from(u16::from_be_bytes([high, low]));
    if len > MAX_BINARY {
        return Err(ProxyError::TooLong);
    }
    let Some(body) = bytes.get(16..len) else { return Ok(None) };
    // LOCAL: the proxy speaks for itself, and what stands behind is to be skipped.
    let source = if command & 0x0f == 0 { None } else { read_addresses(family, body)? };
    Ok(Some(Header { source, len }))
}

/// The source address of a family, and its TLVs skipped.
fn read_addresses(family: u8, body: &[u8]) -> Result<Option<SocketAddr>, ProxyError> {
    let (source, tlvs) = match family {
        // Unspecified: nothing is known of the rest.
        0x00 => return Ok(None),
        // TCP or UDP over IPv4: both addresses, both ports.
        0x11 | 0x12 => {
            let (addresses, tlvs) = body.split_first_chunk::<12>().ok_or(ProxyError::Addresses)?;
            let [a, b, c, d, _, _, _, _, high, low, _, _] = *addresses;
            (Some(SocketAddr::from(([a, b, c, d], u16::from_be_bytes([high, low])))), tlvs)
        }
        0x21 | 0x22 => {
            let (addresses, tlvs) = body.split_first_chunk::<36>().ok_or(ProxyError::Addresses)?;
            let (ip, rest) = addresses.split_first_chunk::<16>().ok_or(ProxyError::Addresses)?;
            let port = rest.get(16..18).and_then(<[u8]>::first_chunk::<2>).ok_or(ProxyError::Addresses)?;
            (Some(SocketAddr::from((*ip, u16::from_be_bytes(*port)))), tlvs)
        }
        // Unix sockets: two paths, which are no address for us.
        0x31 | 0x32 => (None, body.get(216..).ok_or(ProxyError::Addresses)?),
        other => return Err(ProxyError::Family(other)),
    };
    skip_tlvs(tlvs)?;
    Ok(source)
}

fn skip_tlvs(mut rest: &[u8]) -> Result<(), ProxyError> {
    while !rest.is_empty() {
        let ([_kind, high, low], behind) = rest.split_first_chunk::<3>().ok_or(ProxyError::Tlv)?;
        rest = behind.get(usize::from(u16::from_be_bytes([*high, *low]))..).ok_or(ProxyError::Tlv)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Option<SocketAddr> {
        Some(text.parse().unwrap())
    }

    /// A header of version 2.
    fn binary(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let len = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &len, body].concat()
    }

    const V4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 7, 0xdc, 0x04, 0x01, 0xbb];

    #[track_caller]
    fn check(bytes: &[u8], source: Option<SocketAddr>) {
        let whole = Ok(Some(Header { source, len: bytes.len() }));
        assert_eq!(decode(bytes), whole, "{}", bytes.escape_ascii());
        // What follows is not looked at, and what comes in parts is waited for.
        assert_eq!(decode(&[bytes, &[0xff; 600]].concat()), whole);
        for end in 0..bytes.len() {
            assert_eq!(decode(&bytes[..end]), Ok(None), "the first {end} of {}", bytes.escape_ascii());
        }
    }

    #[test]
    fn lines_are_read() {
        check(b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n", address("192.0.2.1:56324"));
        check(b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", address("255.255.255.255:65535"));
        check(b"PROXY TCP6 2001:db8::1 ::1 0 1\r\n", address("[2001:db8::1]:0"));
        check(b"PROXY UNKNOWN\r\n", None);
        let longest = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        let line = format!("PROXY UNKNOWN {longest} {longest} 65535 65535\r\n");
        assert_eq!(line.len(), MAX_LINE);
        check(line.as_bytes(), None);
    }

    #[test]
    fn wrong_lines_are_refused() {
        let wrong = [
            "PROXY \r\n",
            "PROXY TCP4\r\n",
            "PROXY TCP5 192.0.2.1 198.51.100.7 1 2\r\n",
            "PROXY UNKNOWNS\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.7 1\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.7 1 2 3\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.7 1 2 \r\n",
            "PROXY TCP4  192.0.2.1 198.51.100.7 1 2\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.7 1 65536\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.7 -1 2\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.7 +1 2\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.7 01 2\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.7  2\r\n",
            "PROXY TCP4 192.0.2.256 198.51.100.7 1 2\r\n",
            "PROXY TCP4 192.0.2.1 ::1 1 2\r\n",
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP6 192.0.2.1 192.0.2.1 1 2\r\n",
            "PROXY tcp4 192.0.2.1 198.51.100.7 1 2\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.7 1 2\n",
            "PROXY TCP4 192.0.2.1\r 198.51.100.7 1 2\r\n",
        ];
        for line in wrong {
            assert_eq!(decode(line.as_bytes()), Err(ProxyError::Line), "{line:?}");
        }
        assert_eq!(decode(b"PROXY \xff\r\n"), Err(ProxyError::Line));
        let long = [&b"PROXY UNKNOWN "[..], &[b'x'; MAX_LINE]].concat();
        assert_eq!(decode(&long[..MAX_LINE - 1]), Ok(None));
        assert_eq!(decode(&long[..MAX_LINE]), Err(ProxyError::TooLong));
        // One byte more than a line may have, its end included.
        let ended = [&long[..MAX_LINE - 1], b"\r\n"].concat();
        assert_eq!(decode(&ended), Err(ProxyError::TooLong));
    }

    #[test]
    fn binary_headers_are_read() {
        check(&binary(0x21, 0x11, &V4), address("192.0.2.1:56324"));
        check(&binary(0x21, 0x12, &V4), address("192.0.2.1:56324"));
        let v6 = [&[0x20, 1, 0x0d, 0xb8][..], &[0; 11], &[1], &[0; 16], &[1, 2, 3, 4]].concat();
        check(&binary(0x21, 0x21, &v6), address("[2001:db8::1]:258"));
        check(&binary(0x21, 0x22, &v6), address("[2001:db8::1]:258"));
        check(&binary(0x21, 0x31, &[b'/'; 216]), None);
        check(&binary(0x21, 0x00, &[]), None);
        check(&binary(0x21, 0x00, b"anything"), None);
        // LOCAL, whatever stands behind it.
        check(&binary(0x20, 0x00, &[]), None);
        check(&binary(0x20, 0x11, &V4), None);
        check(&binary(0x20, 0xff, &[9; 7]), None);
        // TLVs are skipped, an empty one and one that fills the header too.
        check(
            &binary(0x21, 0x11, &[&V4[..], &[3, 0, 4, 1, 2, 3, 4], &[0xee, 0, 0]].concat()),
            address("192.0.2.1:56324"),
        );
        let full = [&V4[..], &[4, 0x01, 0xf9], &[0; 505]].concat();
        assert_eq!(16 + full.len(), MAX_BINARY);
        check(&binary(0x21, 0x11, &full), address("192.0.2.1:56324"));
    }

    #[test]
    fn wrong_binary_headers_are_refused() {
        let cases = [
            (binary(0x11, 0x11, &V4), ProxyError::Version(1)),
            (binary(0x31, 0x11, &V4), ProxyError::Version(3)),
            (binary(0x22, 0x11, &V4), ProxyError::Command(2)),
            (binary(0x21, 0x10, &V4), ProxyError::Family(0x10)),
            (binary(0x21, 0x41, &V4), ProxyError::Family(0x41)),
            (binary(0x21, 0x13, &V4), ProxyError::Family(0x13)),
            (binary(0x21, 0x11, &V4[..11]), ProxyError::Addresses),
            (binary(0x21, 0x21, &[0; 35]), ProxyError::Addresses),
            (binary(0x21, 0x31, &[0; 215]), ProxyError::Addresses),
            (binary(0x21, 0x11, &[&V4[..], &[1, 0]].concat()), ProxyError::Tlv),
            (binary(0x21, 0x11, &[&V4[..], &[1, 0, 2, 0]].concat()), ProxyError::Tlv),
            (binary(0x21, 0x11, &[0; 521]), ProxyError::TooLong),
            (b"GET / HTTP/1.1\r\n".to_vec(), ProxyError::Signature),
            (b"\r\n\r\n\0\r\nQUIT\r".to_vec(), ProxyError::Signature),
            (b"PROXX".to_vec(), ProxyError::Signature),
        ];
        for (bytes, error) in cases {
            assert_eq!(decode(&bytes), Err(error), "{}", bytes.escape_ascii());
        }
        // Refused by its length, before the bytes come.
        let announced = [&SIGNATURE[..], &[0x21, 0x11, 0xff, 0xff]].concat();
        assert_eq!(decode(&announced), Err(ProxyError::TooLong));
        assert_eq!(decode(&[&SIGNATURE[..], &[0x45]].concat()), Err(ProxyError::Version(4)));
    }
}
