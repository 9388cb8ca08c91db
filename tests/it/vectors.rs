//! The vectors of `tests/vectors`, which were written from PROTOCOL.md alone.

use serde_json::{Map, Value, json};
use tickwire::deflate::InflateError;
use tickwire::wire::control::Command;
use tickwire::wire::header::flags;
use tickwire::wire::{
    ClientData, Control, DecodeError, Extensions, FrameType, Kind, Ping, PingBody, Presence, Reader, Reason, Sender,
    ServerData, Target, put_varint, split_frame,
};

use crate::recode::{MAX_FRAME, recode, recode_presence};
use crate::support::{hex, inflated, unhex, vectors};

fn list<'a>(file: &'a Value, name: &str) -> &'a [Value] {
    file[name].as_array().unwrap_or_else(|| panic!("no list {name}"))
}

fn sender(vector: &Value) -> Sender {
    if vector["from"] == "client" { Sender::Client } else { Sender::Server }
}

fn bytes(vector: &Value) -> Vec<u8> {
    unhex(vector["hex"].as_str().unwrap())
}

#[test]
fn integers_are_read_and_written_as_the_vectors_say() {
    let file = vectors("varint");
    for vector in list(&file, "valid") {
        let (encoded, value) = (bytes(vector), vector["value"].as_u64().unwrap());
        let mut reader = Reader::new(&encoded);
        assert_eq!((reader.varint(), reader.rest()), (Ok(value), &[][..]), "{vector}");
        let mut out = Vec::new();
        put_varint(value, &mut out);
        assert_eq!(out, encoded, "{vector}");
    }
    for vector in list(&file, "invalid") {
        let reason = Reader::new(&bytes(vector)).varint().map_err(|error| error.reason().0);
        assert_eq!(reason, Err(vector["reason"].as_u64().unwrap()), "{vector}");
    }
}

#[test]
fn frames_are_read_and_written_as_the_vectors_say() {
    let file = vectors("frames");
    let mut wrong = Vec::new();
    for vector in file.as_array().unwrap() {
        let (encoded, sender) = (bytes(vector), sender(vector));
        let read = describe(&encoded, sender);
        if read.as_ref() != Ok(&vector["frame"]) {
            wrong.push(format!("{}: read {read:?}", vector["name"]));
        } else if recode(&encoded, sender) != Ok(Some(encoded)) {
            wrong.push(format!("{}: written differently", vector["name"]));
        }
    }
    assert!(wrong.is_empty(), "{} vectors disagree:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn malformed_frames_fail_with_the_reasons_of_the_vectors() {
    let file = vectors("malformed");
    let mut wrong = Vec::new();
    for vector in file.as_array().unwrap() {
        let read = recode(&bytes(vector), sender(vector)).map_err(|error| error.reason().0);
        if read.as_ref().err() != vector["reason"].as_u64().as_ref() {
            wrong.push(format!("{}: {read:?}, not {}", vector["name"], vector["reason"]));
        }
    }
    assert!(wrong.is_empty(), "{} vectors disagree:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn presence_is_read_and_written_as_the_vectors_say() {
    let file = vectors("presence");
    for vector in list(&file, "valid") {
        let encoded = bytes(vector);
        let presence = Presence::decode(&encoded).unwrap();
        let read = match presence {
            Presence::Here { subject, data } => json!({"state": "here", "subject": hex(subject), "data": hex(data)}),
            Presence::Away => json!({"state": "away"}),
            Presence::Left(reason) => json!({"state": "left", "reason": reason.0}),
            Presence::Count(members) => json!({"state": "count", "members": members}),
            Presence::Unknown(code) => json!({"state": "unknown", "code": code}),
            other => panic!("{other:?}"),
        };
        assert_eq!(read, vector["presence"], "{}", vector["name"]);
        if !matches!(presence, Presence::Unknown(_)) {
            assert_eq!(recode_presence(&encoded), Ok(encoded), "{}", vector["name"]);
        }
    }
    for vector in list(&file, "invalid") {
        let reason = recode_presence(&bytes(vector)).map_err(DecodeError::reason);
        assert_eq!(reason, Err(Reason::MALFORMED), "{}", vector["name"]);
    }
}

#[test]
fn compressed_frames_hold_what_the_vectors_say() {
    let file = vectors("compressed");
    for vector in list(&file, "valid") {
        let (small, plain, sender) = (bytes(vector), unhex(vector["plain"].as_str().unwrap()), sender(vector));
        assert_eq!(recode(&small, sender), Ok(Some(small.clone())), "{}", vector["name"]);
        assert_eq!(inflated(small[3], &small[4..], sender).as_ref(), Ok(&plain), "{}", vector["name"]);
        assert_eq!(describe(&plain, sender).as_ref(), Ok(&vector["frame"]), "{}", vector["name"]);
    }
    for vector in list(&file, "invalid") {
        let (small, sender) = (bytes(vector), sender(vector));
        let error = inflated(small[3], &small[4..], sender).unwrap_err();
        let too_large = vector["reason"] == 236 || vector["name"] == "server: a bomb";
        assert_eq!(error == InflateError::TooLarge, too_large, "{}", vector["name"]);
    }
    assert!(list(&file, "valid").len() >= 40 && list(&file, "invalid").len() >= 25);
}

/// A frame in the words of `tests/vectors/README.md`.
fn describe(bytes: &[u8], sender: Sender) -> Result<Value, DecodeError> {
    let (frame, rest) = split_frame(bytes, MAX_FRAME, sender)?.ok_or(DecodeError::Truncated)?;
    assert!(rest.is_empty(), "a vector is one frame");
    match (frame.header.frame_type, sender) {
        (FrameType::Control, _) => Ok(describe_control(&Control::decode(frame.payload)?)),
        (FrameType::Ping, _) => Ok(describe_ping(&Ping::decode(frame.header.flags, frame.payload, sender)?)),
        (FrameType::Data, Sender::Client) => {
            Ok(describe_message(&ClientData::decode(frame.header.flags, frame.payload)?))
        }
        (FrameType::Data, Sender::Server) => {
            describe_batch(&ServerData::decode(frame.header.flags, frame.payload)?.expect("a kind of this version"))
        }
    }
}

fn describe_message(data: &ClientData<'_>) -> Value {
    let mut told = json!({
        "type": "data",
        "compressed": data.options & flags::COMPRESSED != 0,
        "urgent": data.options & flags::URGENT != 0,
        "acknowledge": data.options & flags::ACKNOWLEDGE != 0,
        "handle": data.handle.0,
        "payload": hex(data.payload),
    });
    match data.target {
        Target::Event => told["kind"] = "event".into(),
        Target::Value(key) => {
            told["kind"] = "value".into();
            told["key"] = key.wire().into();
        }
        Target::Direct(member) => {
            told["kind"] = "direct".into();
            told["member"] = member.0.into();
        }
    }
    told
}

fn describe_batch(data: &ServerData<'_>) -> Result<Value, DecodeError> {
    let compressed = data.options & flags::COMPRESSED != 0;
    let mut told = json!({
        "type": "data",
        "kind": match data.kind {
            Kind::Event => "event",
            Kind::Value => "value",
            Kind::Presence => "presence",
            Kind::Direct => "direct",
            Kind::Snapshot => "snapshot",
            Kind::Members => "members",
        },
        "compressed": compressed,
        "urgent": data.options & flags::URGENT != 0,
        "more": data.options & flags::MORE != 0,
        "room": data.head.room.0,
        "position": data.head.position.0,
        "tick": data.head.tick,
    });
    if compressed {
        told["body"] = hex(data.records).into();
        return Ok(told);
    }
    let mut records = Vec::new();
    for record in data.records() {
        let record = record?;
        let mut read = json!({"member": record.member.0, "payload": hex(record.payload)});
        if let Some(key) = record.key {
            read["key"] = key.into();
        }
        records.push(read);
    }
    told["records"] = records.into();
    Ok(told)
}

fn describe_ping(ping: &Ping<'_>) -> Value {
    let mut told = json!({
        "type": "ping",
        "answer": ping.is_answer(),
        "time": ping.time,
        "extensions": describe_extensions(ping.extensions),
    });
    let body = match ping.body {
        PingBody::Client { consumed, directs, .. } => json!({"consumed": consumed, "directs": directs}),
        PingBody::ServerAsk { accepted } => json!({"accepted": accepted}),
        PingBody::ServerAnswer { clock, received, sent, accepted } => {
            json!({"clock": clock, "received": received, "sent": sent, "accepted": accepted})
        }
    };
    extend(&mut told, body);
    told
}

fn describe_extensions(extensions: Extensions<'_>) -> Value {
    extensions.iter().map(|(kind, content)| json!([kind, hex(content)])).collect()
}

fn extend(told: &mut Value, more: Value) {
    let more: Map<String, Value> = more.as_object().unwrap().clone();
    told.as_object_mut().unwrap().extend(more);
}

fn describe_control(control: &Control<'_>) -> Value {
    let (name, body, extensions) = describe_command(&control.command);
    let mut told = json!({"type": "control", "command": name, "request": control.request.0});
    if let Some(extensions) = extensions {
        told["extensions"] = describe_extensions(extensions);
    }
    extend(&mut told, body);
    told
}

fn describe_command<'a>(command: &Command<'a>) -> (&'static str, Value, Option<Extensions<'a>>) {
    let (name, body, extensions) = match command {
        Command::Hello(c) => (
            "hello",
            json!({"capabilities": c.capabilities.0, "max_record": c.max_record, "max_frame": c.max_frame}),
            c.extensions,
        ),
        Command::Welcome(c) => (
            "welcome",
            json!({
                "capabilities": c.capabilities.0, "flags": c.flags, "clock": c.clock, "time": c.time, "wall": c.wall,
                "max_message": c.max_message, "max_frame": c.max_frame, "max_rooms": c.max_rooms, "ping": c.ping,
                "accepted": c.accepted,
            }),
            c.extensions,
        ),
        Command::Join(c) => {
            ("join", json!({"handle": c.handle.0, "mode": c.mode.0, "name": hex(c.name)}), c.extensions)
        }
        Command::Joined(c) => (
            "joined",
            json!({
                "handle": c.handle.0, "room": c.room.0, "member": c.member.0, "mode": c.mode.0,
                "outcome": c.outcome.0, "epoch": hex(&c.epoch.0), "position": c.position.0, "period": c.period,
                "tick": c.tick, "tick_time": c.tick_time,
            }),
            c.extensions,
        ),
        Command::Leave(c) => ("leave", json!({"handle": c.handle.0}), c.extensions),
        Command::Left(c) => ("left", json!({"handle": c.handle.0, "reason": c.reason.0}), c.extensions),
        Command::Refused(c) => ("refused", json!({"number": c.number, "reason": c.reason.0}), c.extensions),
        Command::Close(c) => ("close", json!({"reason": c.reason.0}), c.extensions),
        Command::GoingAway(c) => ("going_away", json!({"reconnect": c.reconnect, "closes": c.closes}), c.extensions),
        other => return describe_other(other),
    };
    (name, body, Some(extensions))
}

fn describe_other<'a>(command: &Command<'a>) -> (&'static str, Value, Option<Extensions<'a>>) {
    let (name, body, extensions) = match command {
        Command::Gap(c) => {
            ("gap", json!({"room": c.room.0, "epoch": hex(&c.epoch.0), "from": c.from.0, "to": c.to.0}), c.extensions)
        }
        Command::Receive(c) => (
            "receive",
            json!({"handle": c.handle.0, "what": c.what, "divisor": c.divisor, "area": c.area}),
            c.extensions,
        ),
        Command::Done(c) => ("done", json!({}), c.extensions),
        Command::SetPresence(c) => ("presence", json!({"handle": c.handle.0, "data": hex(c.data)}), c.extensions),
        Command::Token(c) => ("token", json!({"token": hex(c.token)}), c.extensions),
        Command::Members(c) => ("members", json!({"handle": c.handle.0, "after": c.after.0}), c.extensions),
        Command::Page(c) => (
            "page",
            json!({
                "handle": c.handle.0, "position": c.position.0, "next": c.next.0, "records": hex(c.records),
            }),
            c.extensions,
        ),
        Command::Accepted(c) => ("accepted", json!({"number": c.number}), c.extensions),
        Command::Application(code, body) => {
            return ("application", json!({"code": code, "body": hex(body)}), None);
        }
        other => panic!("no vector has {other:?}"),
    };
    (name, body, Some(extensions))
}
