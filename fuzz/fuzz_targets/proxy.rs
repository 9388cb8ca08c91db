//! Bytes into the PROXY parser: it never panics, what is whole stays the same whatever follows, what is
//! not whole yet is shorter than the longest header, and what is wrong stays wrong.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tickwire::server::access::proxy::{MAX_BINARY, MAX_LINE, decode};

fuzz_target!(|data: &[u8]| {
    let whole = decode(data);
    match whole {
        Ok(Some(header)) => {
            assert!(header.len <= data.len() && header.len <= MAX_BINARY);
            assert!(data[0] != b'P' || header.len <= MAX_LINE);
            // No byte behind it matters, and no byte of it can be missing.
            assert_eq!(decode(&data[..header.len]), whole);
            assert_eq!(decode(&data[..header.len - 1]), Ok(None));
        }
        Ok(None) => assert!(data.len() < MAX_BINARY && (data.first() != Some(&b'P') || data.len() < MAX_LINE)),
        Err(_) => assert!(decode(&[data, b"\r\n"].concat()).is_err()),
    }
});
