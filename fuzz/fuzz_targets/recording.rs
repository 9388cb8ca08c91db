//! Bytes as a recording: reading ends without a panic, says what it dropped, and holds no more than
//! was there; what was read is written and read again as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tickwire::recording::{Entry, Error, Preface, Reader, Torn, Writer};

fuzz_target!(|data: &[u8]| {
    let Some((mode, data)) = data.split_first() else { return };
    let file = if mode % 2 == 0 { data.to_vec() } else { blocks(data) };
    let Some((preface, entries, ended)) = read(&file) else { return };
    let held: usize = entries.iter().map(|entry| entry.bytes().len()).sum();
    assert!(held < file.len());
    if let Ok(Some(Torn { offset, bytes })) = ended {
        assert_eq!(offset + bytes, file.len() as u64, "what is torn is at the end");
    }

    let mut writer = Writer::new(Vec::new(), &preface).expect("what was read can be written");
    entries.iter().for_each(|entry| writer.write(entry.time, entry.bytes()).expect("what was read can be written"));
    let again = writer.into_inner();
    assert!(file.starts_with(&again), "an encoding is the only one");
    let (preface_again, entries_again, ended_again) = read(&again).expect("what was written can be read");
    assert_eq!((preface_again, entries_again), (preface, entries));
    assert!(matches!(ended_again, Ok(None)));
});

/// The preface, the whole entries, and how it ended; `None` without a preface.
fn read(file: &[u8]) -> Option<(Preface, Vec<Entry>, Result<Option<Torn>, Error>)> {
    let mut reader = Reader::new(file).ok()?;
    let mut entries = Vec::new();
    let ended = loop {
        match reader.next() {
            Some(Ok(entry)) => {
                // Whoever has an entry can read it to the end.
                assert!(entry.data().all(|data| data.records().all(|record| record.is_ok())));
                entries.push(entry);
            }
            Some(Err(error)) => break Err(error),
            None => break Ok(reader.torn()),
        }
    };
    assert!(reader.next().is_none(), "nothing follows the end");
    Some((reader.preface().clone(), entries, ended))
}

/// Makes a recording of the fuzzer's bytes, whose checks it could not guess: a preface that holds,
/// then a length and so many bytes as a body each. The last byte may cut the file.
fn blocks(data: &[u8]) -> Vec<u8> {
    let (cut, mut data) = data.split_last().map_or((0, data), |(cut, rest)| (usize::from(*cut), rest));
    let mut file = vec![0xd7, 0x54, 0x57, 0x52, 1];
    block(&[1, b'a', 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3], &mut file);
    while let Some((len, rest)) = data.split_first() {
        let (body, rest) = rest.split_at(rest.len().min(usize::from(*len)));
        block(body, &mut file);
        data = rest;
    }
    // Small cuts are the interesting ones, and most files should be whole.
    file.truncate(file.len().saturating_sub(cut.saturating_sub(200)));
    file
}

fn block(body: &[u8], file: &mut Vec<u8>) {
    let start = file.len();
    file.extend((body.len() as u32).to_be_bytes());
    file.extend(crc32fast::hash(body).to_be_bytes());
    file.extend(crc32fast::hash(&file[start..]).to_be_bytes());
    file.extend(body);
}
