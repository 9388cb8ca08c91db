//! What the minimal client does.

use super::script::*;

#[tokio::test]
async fn events_come_in_order_and_carry_their_records() {
    check_joined(
        async |mut script| {
            script.batch(Kind::Snapshot, 0, 0, &[b"old"]).await;
            script.batch(Kind::Event, flags::MORE, 1, &[b"a", b""]).await;
            script.batch(Kind::Event, 0, 1, &[b"b"]).await;
            script.batch(Kind::Value, flags::URGENT, 1, &[b"v"]).await;
            script.batch(Kind::Direct, 0, 1, &[b"d", b"e"]).await;
            script.batch(Kind::Direct, 0, 3, &[b"f"]).await;
            script.send(close(Reason::GOING_AWAY), RequestId(0)).await;
        },
        async |mut client, handle| {
            let Event::Snapshot(batch) = client.next().await.unwrap() else { panic!("a snapshot") };
            assert_eq!((batch.room(), batch.tick(), batch.has_more()), (handle, 4, false));
            let Event::Batch(batch) = client.next().await.unwrap() else { panic!("events") };
            assert_eq!(batch.records().map(|record| record.payload.to_vec()).collect::<Vec<_>>(), [&b"a"[..], b""]);
            assert!(batch.has_more() && !batch.is_early());
            let Event::Batch(batch) = client.next().await.unwrap() else { panic!("events") };
            assert_eq!(batch.position(), Position(1));
            let Event::Batch(batch) = client.next().await.unwrap() else { panic!("values") };
            assert!(batch.kind() == Kind::Value && batch.is_early());
            assert_eq!(batch.records().next().unwrap().key, Some(10));
            assert!(matches!(client.next().await.unwrap(), Event::Direct(_)));
            assert!(matches!(client.next().await.unwrap(), Event::Direct(_)));
            let Event::Closed(closing) = client.next().await.unwrap() else { panic!("the end") };
            assert_eq!(closing.reason, Some(Reason::GOING_AWAY));
            assert!(matches!(client.next().await, Err(Error::Ended)));
        },
    )
    .await;
}

#[tokio::test]
async fn a_hole_in_the_positions_is_found() {
    check_joined(
        async |mut script| {
            script.batch(Kind::Event, 0, 1, &[b"a"]).await;
            script.batch(Kind::Event, 0, 3, &[b"c"]).await;
        },
        async |mut client, _| {
            assert!(matches!(client.next().await, Ok(Event::Batch(_))));
            let Err(Error::Surprise(surprise)) = client.next().await else { panic!("a hole") };
            assert_eq!(surprise, Surprise::Position { expected: Position(2), found: Position(3) });
            assert!(matches!(client.next().await, Err(Error::Ended)));
        },
    )
    .await;
}

#[tokio::test]
async fn hostile_bytes_are_errors() {
    /// Sends `bytes` to a client in a room.
    async fn check(bytes: &[u8], expected: fn(&Error) -> bool) {
        check_joined(
            async |mut script| script.write(bytes).await,
            async |mut client, _| {
                let error = client.next().await.unwrap_err();
                assert!(expected(&error), "{bytes:02x?}: {error}");
            },
        )
        .await;
    }
    check(&[0xff, 0, 0, 0], |error| matches!(error, Error::Decode(DecodeError::UnknownType(0xff)))).await;
    check(&[1, 0, 2, 0, 7, 1], |error| matches!(error, Error::Decode(DecodeError::Truncated))).await;
    // A record that says it is longer than its frame.
    check(&[1, 0, 6, 0, 7, 1, 0, 4, 9, 1], |error| matches!(error, Error::Decode(DecodeError::Truncated))).await;
    // Presence without a state.
    check(&[1, 0, 6, 4, 7, 1, 0, 4, 0, 1], |error| matches!(error, Error::Decode(DecodeError::Truncated))).await;
    check(&[1, 0, 4, 0, 8, 1, 0, 4], |error| matches!(error, Error::Surprise(Surprise::UnknownRoom(RoomId(8))))).await;
    check(&[1, 0, 4, 1, 7, 1, 0, 4], |error| matches!(error, Error::Surprise(Surprise::Compressed))).await;
    check(&[1, 0, 4, 6, 7, 5, 0, 4], |error| matches!(error, Error::Surprise(Surprise::DirectNumber { .. }))).await;
    check(&[2, 0, 2, 0, 4, 0x80], |error| matches!(error, Error::Decode(DecodeError::Truncated))).await;
}

#[tokio::test]
async fn what_a_client_does_not_know_it_ignores() {
    check_joined(
        async |mut script| {
            // A reserved kind, an unknown command, an unknown even and an odd extension of LEFT.
            script.write(&[1, 0, 1, 0x0e, 0xff]).await;
            script.write(&[2, 0, 3, 0, 0x70, 0, 9]).await;
            script.write(&[2, 0, 7, 0, 6, 0, 1, 0xc8, 1, 9, 0]).await;
            script.write(&[2, 0, 7, 0, 6, 0, 1, 0xc8, 1, 8, 0]).await;
        },
        async |mut client, handle| {
            let left = Event::Left { request: RequestId(0), handle, reason: Reason::FINISHED };
            assert_eq!(client.next().await.unwrap(), left);
            let Event::Closed(closing) = client.next().await.unwrap() else { panic!("the end") };
            assert_eq!(closing.reason, None);
        },
    )
    .await;
}

#[tokio::test]
async fn pings_are_answered_with_what_was_taken() {
    check_joined(
        async |mut script| {
            script.batch(Kind::Direct, 0, 1, &[b"d", b"e"]).await;
            let ask = Ping { time: 5, body: PingBody::ServerAsk { accepted: 0 }, extensions: Extensions::NONE };
            let mut out = Vec::new();
            ask.encode(&mut out);
            script.write(&out).await;
            script.batch(Kind::Value, 0, 0, &[b"v"]).await;
            let answer = script.receive().await;
            assert_eq!((answer.header.frame_type, answer.header.flags), (FrameType::Ping, flags::ANSWER));
            let ping = Ping::decode(answer.header.flags, &answer.payload, crate::wire::Sender::Client).unwrap();
            let PingBody::Client { consumed, directs, .. } = ping.body else { panic!("a client's") };
            assert_eq!((ping.time, directs), (5, 2));
            assert!(consumed > 30, "{consumed} bytes: welcome, joined, a direct");
            script.send(close(Reason::FINISHED), RequestId(0)).await;
        },
        async |mut client, _| {
            assert!(matches!(client.next().await, Ok(Event::Direct(_))));
            assert!(matches!(client.next().await, Ok(Event::Batch(_))));
            assert!(matches!(client.next().await, Ok(Event::Closed(_))));
        },
    )
    .await;
}

#[tokio::test]
async fn what_is_kept_back_is_not_consumed() {
    /// A ping of the client is answered: what it says of consumption.
    async fn consumed(script: &mut Script) -> (u64, u64) {
        let asked = script.receive().await;
        let ping = Ping::decode(asked.header.flags, &asked.payload, crate::wire::Sender::Client).unwrap();
        let PingBody::Client { answer: false, consumed, directs } = ping.body else { panic!("a question") };
        let body = PingBody::ServerAnswer { clock: 1, received: 9, sent: 9, accepted: 0 };
        let mut out = Vec::new();
        Ping { time: ping.time, body, extensions: Extensions::NONE }.encode(&mut out);
        script.write(&out).await;
        (consumed, directs)
    }
    check_joined(
        async |mut script| {
            script.batch(Kind::Event, 0, 1, &[&[0; 200]]).await;
            script.batch(Kind::Direct, 0, 1, &[&[0; 50]]).await;
            // A frame of no directs tells of none.
            script.batch(Kind::Direct, 0, 2, &[]).await;
            let (before, directs) = consumed(&mut script).await;
            assert_eq!(directs, 0);
            // All of it was read behind the answer, and waits.
            let (waiting, directs) = consumed(&mut script).await;
            assert!(waiting - before < 40 && directs == 0, "only the answer was consumed: {before}, {waiting}");
            let (taken, directs) = consumed(&mut script).await;
            assert!(taken - waiting > 200 && directs == 0, "the batch, and not the direct: {waiting}, {taken}");
            let (all, directs) = consumed(&mut script).await;
            assert!(all - taken > 50 && directs == 1, "{taken}, {all}");
            let request = script.receive_request().await;
            script.send(close(Reason::FINISHED), request).await;
        },
        async |mut client, _| {
            client.ping().await.unwrap();
            client.ping().await.unwrap();
            assert_eq!(next_batch(&mut client).await.0, 1);
            client.ping().await.unwrap();
            for _ in 0..2 {
                next_batch(&mut client).await;
            }
            client.ping().await.unwrap();
            client.close().await.unwrap();
        },
    )
    .await;
}

#[tokio::test]
async fn an_own_ping_sets_the_clock() {
    check_joined(
        async |mut script| {
            script.batch(Kind::Event, 0, 1, &[b"kept for later"]).await;
            let asked = script.receive().await;
            let ping = Ping::decode(asked.header.flags, &asked.payload, crate::wire::Sender::Client).unwrap();
            let body = PingBody::ServerAnswer { clock: 1, received: 9_000_000, sent: 9_000_000, accepted: 0 };
            let mut out = Vec::new();
            Ping { time: ping.time, body, extensions: Extensions::NONE }.encode(&mut out);
            script.write(&out).await;
        },
        async |mut client, _| {
            let sample = client.ping().await.unwrap();
            assert!(sample.offset > 8_000_000 && sample.round_trip < LONG);
            assert!(client.clock().server_time(Instant::now()).is_some());
            assert!(matches!(client.next().await, Ok(Event::Batch(_))));
        },
    )
    .await;
}

#[tokio::test]
async fn publishing_numbers_messages_and_checks_their_size() {
    check_joined(
        async |mut script| {
            let urgent = script.receive().await;
            assert_eq!((urgent.header.flags, &urgent.payload[..]), (0x10, &b"\x01now"[..]));
            let value = script.receive().await;
            assert_eq!((value.header.flags, &value.payload[..]), (0x02, &b"\x01\x0b"[..]));
            let direct = script.receive().await;
            assert_eq!((direct.header.flags, &direct.payload[..]), (0x06, &b"\x01\x02hi"[..]));
            let request = script.receive_request().await;
            script
                .send(
                    Command::Left(Left { handle: Handle(1), reason: Reason::FINISHED, extensions: Extensions::NONE }),
                    request,
                )
                .await;
            let request = script.receive_request().await;
            script.send(close(Reason::FINISHED), request).await;
        },
        async |mut client, handle| {
            let urgent = client.sender().publish(handle, Target::Event, Timing::Urgent, b"now").await;
            assert_eq!(urgent.unwrap(), 1);
            assert_eq!(client.value(handle, Key::room(5), b"").await.unwrap(), 2);
            let large = client.event(handle, &[0; 101]).await;
            assert!(matches!(large, Err(Error::MessageTooLarge { len: 101, limit: 100 })));
            assert_eq!(client.direct(handle, MemberNumber(2), b"hi").await.unwrap(), 3);
            client.leave(handle).await.unwrap();
            client.close().await.unwrap();
        },
    )
    .await;
}

#[tokio::test]
async fn refusals_and_closes_are_told() {
    check(
        async |mut script| {
            script.welcome(WELCOME).await;
            let request = script.receive_request().await;
            let refused = Refused { number: 0, reason: Reason::ROOM_FULL, extensions: Extensions::NONE };
            script.send(Command::Refused(refused), request).await;
            let request = script.receive_request().await;
            assert_eq!(request, RequestId(3));
            script.send(close(Reason::SLOW), RequestId(0)).await;
        },
        async |client| {
            let mut client = client.unwrap();
            assert!(matches!(client.join("a b", Mode::BOTH).await, Err(Error::RoomName)));
            let refused = client.join("room", Mode::BOTH).await.unwrap_err();
            assert_eq!(refused.to_string(), "the server refused, 104: The room has as many members as it may.");
            let closed = client.join("other", Mode::BOTH).await.unwrap_err();
            assert!(matches!(closed, Error::Closed(closing) if closing.reason == Some(Reason::SLOW)));
            assert!(matches!(client.next().await, Err(Error::Ended)));
        },
    )
    .await;
}

#[tokio::test]
async fn a_server_that_does_not_welcome_is_an_error() {
    check(
        async |mut script| {
            script
                .send(Command::Close(Close { reason: Reason::TOKEN, extensions: Extensions::NONE }), RequestId(1))
                .await;
        },
        async |client| {
            let error = client.unwrap_err();
            assert!(matches!(error, Error::Closed(closing) if closing.reason == Some(Reason::TOKEN)));
        },
    )
    .await;
    check(
        async |mut script| script.send(joined(Handle(1)), RequestId(1)).await,
        async |client| assert!(matches!(client.unwrap_err(), Error::Surprise(Surprise::NotWelcome))),
    )
    .await;
    check(async |script| drop(script), async |client| assert!(matches!(client.unwrap_err(), Error::Closed(_)))).await;
}

#[tokio::test(start_paused = true)]
async fn silence_and_missing_answers_end_the_wait() {
    // With nothing to do, the paused clock jumps to the next deadline.
    let listener = Listener::bind().await;
    let error = Client::connect(&listener.config).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut(Wait::Connect)));
}

#[test]
fn hello_is_that_of_the_protocol() {
    let hello = |url: &str, capabilities, resume| {
        let config = ClientConfig::new(url.parse().unwrap());
        greeting::hello(&config, capabilities, resume).unwrap()
    };
    let none = Capabilities(0);
    assert_eq!(&hello("ws://host/ws", none, None)[..], [2, 0, 5, 0, 1, 1, 0, 0, 0]);
    let with_magic = [0xd7, 0x54, 0x57, 1, 2, 0, 5, 0, 1, 1, 0, 0, 0];
    assert_eq!(&hello("tcp://host", none, None)[..], with_magic);
    assert_eq!(&hello("ws://host/ws", ClientConfig::CAPABILITIES, None)[..], [2, 0, 5, 0, 1, 1, 0x7f, 0, 0]);
    let token = Token::new(&b"abc"[..]);
    let resuming = [2, 0, 13, 0, 1, 1, 0, 0, 0, 4, 6, 3, b'a', b'b', b'c', 0xc8, 1];
    assert_eq!(&hello("ws://host/ws", none, Some((&token, 200)))[..], resuming);

    let url: Url = "ws://host/ws".parse().unwrap();
    let config = ClientConfig::new(url.clone()).token(token);
    let expected = [2, 0, 10, 0, 1, 1, 0, 0, 0, 1, 3, b'a', b'b', b'c'];
    assert_eq!(&greeting::hello(&config, none, None).unwrap()[..], expected);
    let config = ClientConfig::new(url).token(Token::new(vec![0; 70_000]));
    assert!(matches!(greeting::hello(&config, none, None), Err(Error::MessageTooLarge { .. })));
}
