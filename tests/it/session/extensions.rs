//! What nobody knows yet must be served (PROTOCOL 3.3, 10.3, 10.4).

use proptest::prelude::*;
use tickwire::wire::put_extension;

use super::Peer;
use crate::support::{event, hello_with, join_with, ping_with};

/// Extensions with even types that this version does not define.
fn unknown() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::btree_map(5_u64..1 << 51, proptest::collection::vec(any::<u8>(), 0..30), 0..5).prop_map(
        |list| {
            let mut encoded = Vec::new();
            list.iter().for_each(|(half, content)| put_extension(half * 2, content, &mut encoded));
            encoded
        },
    )
}

proptest! {
    #[test]
    fn even_types_and_capability_bits_that_nobody_knows_are_served(
        bits in 0_u64..1 << 53, extensions in prop::array::uniform4(unknown())
    ) {
        let [of_hello, of_join, of_ping, of_leave] = extensions;
        let mut peer = Peer::greeting();
        peer.ok(&hello_with(bits, 0, 0, &of_hello));
        peer.ok(&join_with(2, 1, 3, b"room", &of_join));
        peer.ok(&event(1, b"hi"));
        peer.ok(&ping_with(5, false, 0, &of_ping));
        let len = u16::try_from(3 + of_leave.len()).unwrap().to_be_bytes();
        peer.ok(&[&[2, len[0], len[1], 0, 5, 3, 1], &of_leave[..]].concat());
        prop_assert_eq!(peer.said(), ["welcome r1 capabilities 0", "answer 5"]);
        prop_assert_eq!(peer.asked().len(), 3);
    }

    #[test]
    fn odd_types_that_nobody_knows_are_refused_in_commands_and_ignored_in_pings(half in 1_u64..1 << 51) {
        let mut extensions = Vec::new();
        put_extension(half * 2 + 1, b"?", &mut extensions);
        let mut peer = Peer::open();
        peer.ok(&join_with(2, 1, 3, b"room", &extensions));
        prop_assert_eq!((peer.said(), peer.asked().len()), (vec!["refused r2 222".to_owned()], 0));
        peer.ok(&ping_with(5, false, 0, &extensions));
        prop_assert_eq!(peer.said(), ["answer 5"]);
        prop_assert_eq!(Peer::greeting().ends(&hello_with(0, 0, 0, &extensions)), 222);
    }
}
