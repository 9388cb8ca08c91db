//! Lists of extensions: unknown, doubled, cut off, with wrong content (PROTOCOL 3.3).

use super::row::{ALL, HELLO, JOINED, Row, control, row};

/// 2^53, which is no varint.
const TOO_LARGE: [u8; 8] = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10];

/// JOIN of room "r" by request 5 with this list.
fn join(list: &[u8]) -> Vec<u8> {
    control(&[&[3, 5, 9, 3, 1, b'r'][..], list].concat())
}

pub fn rows() -> Vec<Row> {
    let joins = |name: &str, list: &[u8]| row(format!("{name} in JOIN"), ALL, HELLO).frames(join(list));
    vec![
        joins("type 1, which is odd", &[1, 0]).refused(5, 222),
        joins("type 3, which is odd", &[3, 2, 0, 0]).refused(5, 222),
        joins("the largest odd type", &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f, 0]).refused(5, 222),
        joins("an odd type behind one that is known", &[2, 1, 7, 5, 0]).refused(5, 222),
        joins("types that descend", &[6, 0, 2, 0]).close(201),
        joins("a type twice", &[2, 0, 2, 0]).close(201),
        joins("a type without a length", &[2]).close(201),
        joins("a length beyond the frame", &[2, 9, 1]).close(201),
        joins("a length of nearly 2^53", &[2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f, 1]).close(201),
        joins("a length that is not minimal", &[2, 0x80, 0]).close(201),
        joins("a type that is not minimal", &[0x82, 0, 0]).close(201),
        joins("a type of 2^53", &[&TOO_LARGE[..], &[0]].concat()).close(201),
        joins("an even type that nobody knows", &[&[100, 0x81, 4][..], &[7; 513]].concat()),
        joins("two thousand even types that nobody knows", &two_thousand()),
        joins("data of 1025 bytes", &[&[2, 0x81, 8][..], &[7; 1025]].concat()).refused(5, 224),
        joins("presence of 257 bytes", &[&[6, 0x81, 2][..], &[7; 257]].concat()).refused(5, 224),
        joins("a past with half an epoch", &[4, 4, 1, 2, 3, 4]).refused(5, 224),
        joins("a past without a position", &[4, 8, 1, 2, 3, 4, 5, 6, 7, 8]).refused(5, 224),
        joins("a past whose position is not minimal", &[4, 10, 1, 2, 3, 4, 5, 6, 7, 8, 0x80, 0]).refused(5, 224),
        joins("a past that never was", &[4, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        joins("a past in the far future", &[&[4, 16, 1, 2, 3, 4, 5, 6, 7, 8][..], &[0xff; 7], &[0x0f]].concat()),
        row("an odd type in LEAVE", ALL, JOINED).frames(control(&[5, 5, 1, 1, 0])).refused(5, 222),
        row("an odd type in PRESENCE", ALL, JOINED).frames(control(&[13, 5, 1, 0, 1, 0])).refused(5, 222),
        row("an even type in LEAVE", ALL, JOINED).frames(control(&[5, 5, 1, 8, 1, 0])),
        row("an odd type in CLOSE", ALL, HELLO).frames(control(&[8, 5, 3, 7, 1, 0])).close_for(5, 200),
        row("a list in CLOSE that is cut off", ALL, HELLO).frames(control(&[8, 5, 3, 7, 9, 0])).close(201),
    ]
}

/// Types 1000, 1002 and so on, each empty.
fn two_thousand() -> Vec<u8> {
    let mut list = Vec::new();
    for number in 0..2000 {
        tickwire::wire::put_varint(1000 + 2 * number, &mut list);
        list.push(0);
    }
    list
}
