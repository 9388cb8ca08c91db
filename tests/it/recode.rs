//! Decodes a whole frame of either side with everything in it, and encodes it again.

use tickwire::wire::{
    ClientData, Control, DecodeError, FrameType, Ping, Presence, Put, Sender, ServerData, split_frame,
};

/// The limit of a server with default settings.
pub const MAX_FRAME: usize = 16_384;

/// The first frame of `bytes`, decoded down to its last field and encoded again. `None` where it
/// is of a kind that is to be ignored.
pub fn recode(bytes: &[u8], sender: Sender) -> Result<Option<Vec<u8>>, DecodeError> {
    let (frame, _) = split_frame(bytes, MAX_FRAME, sender)?.ok_or(DecodeError::Truncated)?;
    let mut out = Vec::new();
    let encoded_len = match (frame.header.frame_type, sender) {
        (FrameType::Control, _) => {
            let control = Control::decode(frame.payload)?;
            control.encode(&mut out);
            control.encoded_len()
        }
        (FrameType::Ping, _) => {
            let ping = Ping::decode(frame.header.flags, frame.payload, sender)?;
            ping.encode(&mut out);
            ping.encoded_len()
        }
        (FrameType::Data, Sender::Client) => {
            let data = ClientData::decode(frame.header.flags, frame.payload)?;
            data.encode(&mut out);
            data.encoded_len()
        }
        (FrameType::Data, Sender::Server) => {
            let Some(data) = ServerData::decode(frame.header.flags, frame.payload)? else { return Ok(None) };
            let compressed = data.options & tickwire::wire::header::flags::COMPRESSED != 0;
            let mut records = Vec::new();
            if compressed {
                records.put(data.records);
            } else {
                recode_records(&data, &mut records)?;
            }
            ServerData { records: &records, ..data }.encode(&mut out);
            data.encoded_len()
        }
    };
    assert_eq!(encoded_len, out.len(), "encoded_len is exact");
    Ok(Some(out))
}

fn recode_records(data: &ServerData<'_>, out: &mut Vec<u8>) -> Result<(), DecodeError> {
    for record in data.records() {
        let record = record?;
        let before = out.len();
        record.encode(out);
        assert_eq!(record.encoded_len(), out.len() - before, "a record's encoded_len is exact");
    }
    Ok(())
}

/// A presence record's payload, decoded and encoded again; an unknown state keeps its byte only.
pub fn recode_presence(payload: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut out = Vec::new();
    Presence::decode(payload)?.encode(&mut out);
    Ok(out)
}
