//! Headers: every type, every flag, and on request every header there is.

use tickwire::wire::{DecodeError, FrameType, Header, Kind, Sender, split_frame};

use crate::recode::MAX_FRAME;

/// PROTOCOL 5 as one reads it, for the client's side: type, length, flags, in this order.
fn expected([first, high, low, flags]: [u8; 4], limit: usize, sender: Sender) -> Result<(), DecodeError> {
    let reserved = match first {
        0x01 => 0b1100_0000,
        0x02 => 0b1111_1111,
        0x03 => 0b1111_1110,
        _ => return Err(DecodeError::UnknownType(first)),
    };
    let announced = usize::from(high) * 256 + usize::from(low);
    if announced > limit {
        return Err(DecodeError::FrameTooLarge { announced, limit });
    }
    if sender == Sender::Client && flags & reserved != 0 {
        return Err(DecodeError::ReservedFlags(flags));
    }
    Ok(())
}

/// One header: exactly one of an error, a frame, or the need for more.
#[inline]
fn check(bytes: [u8; 4], limit: usize, sender: Sender) {
    let expected = expected(bytes, limit, sender);
    let decoded = Header::decode(bytes, limit, sender);
    assert_eq!(decoded.map(|_| ()), expected, "{bytes:02x?} {sender:?}");
    if let Ok(header) = decoded {
        assert_eq!(header.bytes(), bytes);
    }
    match split_frame(&bytes, limit, sender) {
        Ok(Some((frame, rest))) => assert!(frame.header.payload_len == 0 && rest.is_empty() && expected.is_ok()),
        Ok(None) => assert!(expected.is_ok() && (bytes[1], bytes[2]) != (0, 0)),
        Err(error) => assert_eq!(Err(error), expected),
    }
}

#[test]
fn every_type_with_every_flag_is_a_frame_or_the_right_error() {
    for first in 0..=255 {
        for flags in 0..=255 {
            for length in [0_u16, 1, 2, 16_383, 16_384, 16_385, 65_534, 65_535] {
                let [high, low] = length.to_be_bytes();
                check([first, high, low, flags], MAX_FRAME, Sender::Client);
                check([first, high, low, flags], MAX_FRAME, Sender::Server);
                check([first, high, low, flags], 65_535, Sender::Client);
            }
        }
    }
}

#[test]
fn the_kind_is_bits_one_to_three() {
    for flags in 0..=255 {
        let kind = Kind::from_flags(flags).map(|kind| kind as u8);
        let number = flags >> 1 & 7;
        assert_eq!(kind, if number < 6 { Ok(number) } else { Err(number) });
    }
    assert_eq!(FrameType::Data as u8, 1);
}

/// With `TICKWIRE_EXHAUSTIVE=1` all 2^32 headers of either side: seconds in a release build.
#[test]
fn headers_all() {
    if std::env::var_os("TICKWIRE_EXHAUSTIVE").is_none() {
        println!("only types x flags x lengths at the limits; TICKWIRE_EXHAUSTIVE=1 checks all 2^32 headers");
        return every_type_with_every_flag_is_a_frame_or_the_right_error();
    }
    let workers = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    std::thread::scope(|scope| {
        for worker in 0..workers {
            scope.spawn(move || {
                for header in (worker << 32) / workers..((worker + 1) << 32) / workers {
                    check((header as u32).to_be_bytes(), MAX_FRAME, Sender::Client);
                    check((header as u32).to_be_bytes(), MAX_FRAME, Sender::Server);
                }
            });
        }
    });
    println!("all 2^32 headers were checked, of either side");
}
