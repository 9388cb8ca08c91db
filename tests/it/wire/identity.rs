//! What is decoded encodes to the same bytes, and nothing that comes can panic.

use proptest::prelude::*;
use tickwire::wire::control::Command;
use tickwire::wire::{Control, Extensions, Presence, Reason, Records, RequestId, Sender, put_varint, varint_len};

use super::frames;
use crate::recode::{recode, recode_presence};

proptest! {
    #[test]
    fn frames_of_a_client_decode_and_encode_to_the_same_bytes(frame in frames::frame(Sender::Client)) {
        prop_assert_eq!(recode(&frame, Sender::Client), Ok(Some(frame)));
    }

    #[test]
    fn frames_of_a_server_decode_and_encode_to_the_same_bytes(frame in frames::frame(Sender::Server)) {
        prop_assert_eq!(recode(&frame, Sender::Server), Ok(Some(frame)));
    }

    #[test]
    fn commands_are_the_same_from_either_side(frame in frames::command()) {
        prop_assert_eq!(recode(&frame, Sender::Client), recode(&frame, Sender::Server));
    }

    #[test]
    fn a_frame_that_is_cut_off_inside_is_malformed_or_another_frame(
        frame in frames::command(), keep in any::<prop::sample::Index>()
    ) {
        // The header is made to fit what is left, so the cut goes through a field or between two.
        let keep = keep.index(frame.len() - 4);
        let mut cut = frame[..4 + keep].to_vec();
        cut[1..3].copy_from_slice(&u16::try_from(keep).unwrap().to_be_bytes());
        match recode(&cut, Sender::Server) {
            Ok(again) => prop_assert_eq!(again, Some(cut)),
            Err(error) => prop_assert_eq!(error.reason(), Reason::MALFORMED),
        }
    }

    #[test]
    fn presence_decodes_and_encodes_to_the_same_bytes(
        state in 0_u8..4, number in frames::number(), subject in frames::bytes(40), data in frames::bytes(40)
    ) {
        let presence = match state {
            0 => Presence::Here { subject: &subject, data: &data },
            1 => Presence::Away,
            2 => Presence::Left(Reason(number)),
            _ => Presence::Count(number),
        };
        let mut payload = Vec::new();
        presence.encode(&mut payload);
        prop_assert_eq!(Presence::decode(&payload), Ok(presence));
        prop_assert_eq!(recode_presence(&payload), Ok(payload));
    }

    #[test]
    fn integers_have_one_encoding_of_the_length_that_is_told(number in frames::number()) {
        let mut encoded = Vec::new();
        put_varint(number, &mut encoded);
        prop_assert_eq!(encoded.len(), varint_len(number));
        prop_assert_eq!(tickwire::wire::Reader::new(&encoded).varint(), Ok(number));
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_what_they_say_is_said_again(
        sender in prop_oneof![Just(Sender::Client), Just(Sender::Server)],
        kind in 1_u8..4, flags in any::<u8>(), payload in frames::bytes(64)
    ) {
        let mut frame = vec![kind, 0, payload.len() as u8, flags];
        frame.extend(&payload);
        if let Ok(Some(again)) = recode(&frame, sender) {
            prop_assert_eq!(&again[4..], &frame[4..]);
        }
        let _presence = Presence::decode(&payload);
        let _extensions = Extensions::from_encoded(&payload);
        let _records = Records::new(tickwire::wire::Kind::Value, &payload).count();
    }
}

#[test]
fn extensions_that_repeat_or_descend_are_malformed() {
    let malformed = [&[2, 0, 2, 0][..], &[4, 0, 2, 0], &[2], &[2, 1], &[2, 0x80, 0], &[0x82, 0, 0]];
    for encoded in malformed {
        assert_eq!(Extensions::from_encoded(encoded).map_err(|error| error.reason()), Err(Reason::MALFORMED));
    }
    let extensions = Extensions::from_encoded(&[0, 0, 2, 1, 7, 5, 0]).unwrap();
    assert_eq!(extensions.get(2), Some(&[7][..]));
    assert_eq!((extensions.unknown_critical(&[]), extensions.unknown_critical(&[5])), (Some(5), None));
}

#[test]
fn records_end_after_the_first_that_cannot_be_read() {
    let mut records = Records::new(tickwire::wire::Kind::Event, &[1, 1, 7, 9, 1, 7]);
    assert!(records.next().unwrap().is_ok());
    assert!(records.next().unwrap().is_err());
    assert!(records.next().is_none());
}

#[test]
fn a_command_nobody_knows_is_read_with_its_bytes() {
    let control = Control::decode(&[0x12, 3, 9, 9]).unwrap();
    assert_eq!(control, Control::new(RequestId(3), Command::Unknown(0x12, &[9, 9])));
    assert_eq!(Control::decode(&[0xff, 3]).unwrap().command, Command::Application(0xff, &[]));
    assert!(Control::decode(&[0x12]).is_err() && Control::decode(&[]).is_err());
}
