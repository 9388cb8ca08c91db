//! Sessions that go on over another connection.

use super::script::*;

/// Extensions of a WELCOME with a resume token, and what else there is.
fn extensions(token: &[u8], lost: Option<[u8; 2]>) -> Vec<u8> {
    let mut out = Vec::new();
    put_extension(kind::RESUME_TOKEN, token, &mut out);
    put_extension(kind::GRACE, &[0x90, 0x4e], &mut out);
    if let Some(lost) = lost {
        put_extension(kind::LOST_DIRECTS, &lost, &mut out);
    }
    out
}

async fn welcome(script: &mut Script, flags: u8, accepted: u64, lost: Option<[u8; 2]>) {
    let encoded = extensions(b"token", lost);
    let extensions = Extensions::from_encoded(&encoded).unwrap();
    script.welcome(Welcome { flags, accepted, extensions, ..ABLE }).await;
}

/// The resume token and the direct number in a HELLO.
fn asked_to_resume(script: &Script) -> Option<(Vec<u8>, u64)> {
    let Command::Hello(hello) = Control::decode(&script.hello).unwrap().command else { panic!("hello") };
    let mut reader = crate::wire::Reader::new(hello.extensions.get(kind::RESUME)?);
    Some((reader.string().unwrap().to_vec(), reader.varint().unwrap()))
}

/// `since` of epoch 9 and this position, as JOIN has it.
fn since(position: u8) -> Vec<u8> {
    let mut out = Vec::new();
    put_extension(kind::SINCE, &[9, 9, 9, 9, 9, 9, 9, 9, position], &mut out);
    out
}

/// The first connection: a room at position 2 of which a batch was not taken, direct 1 taken and 2
/// not, messages 1 to 4 of which 1 is accepted and 2 was refused. Then the connection breaks.
async fn break_off(listener: &Listener) -> ResumePoint {
    let config = &listener.config;
    let server = async {
        let mut script = listener.accept().await;
        assert_eq!(asked_to_resume(&script), None);
        welcome(&mut script, 0, 0, None).await;
        let (request, ..) = script.receive_join().await;
        script.send(joined(Handle(1)), request).await;
        for _ in 0..4 {
            script.receive_data().await;
        }
        script.accepted(1).await;
        script.refuse(RequestId(0), 2, Reason::BATCH_FULL).await;
        script.batch(Kind::Event, 0, 1, &[b"1"]).await;
        script.batch(Kind::Event, 0, 2, &[b"2"]).await;
        script.batch(Kind::Direct, 0, 1, &[b"d1"]).await;
        script.batch(Kind::Event, 0, 3, &[b"3"]).await;
        script.batch(Kind::Direct, 0, 2, &[b"d2"]).await;
        // The answer to a ping never comes, and so the rest is kept and not taken.
        script.receive().await;
    };
    let client = async {
        let mut client = Client::connect(config).await.unwrap();
        assert_eq!(client.terms().grace, Some(Duration::from_secs(10)));
        let options = JoinOptions::new(Mode::BOTH).presence(&b"old"[..]);
        let handle = client.join_with("room", options).await.unwrap().handle;
        client.event(handle, b"m1").await.unwrap();
        client.value(handle, Key::member(3), b"m2").await.unwrap();
        client.direct(handle, MemberNumber(2), b"m3").await.unwrap();
        client.publish(handle, Target::Event, Timing::Urgent, b"m4").await.unwrap();
        assert_eq!(client.next().await.unwrap(), Event::Accepted(1));
        assert!(matches!(client.next().await, Ok(Event::Refused(refusal)) if refusal.number == 2));
        for expected in [1, 2, 1] {
            assert_eq!(next_batch(&mut client).await.0, expected);
        }
        assert!(matches!(client.ping().await, Err(Error::Closed(_))));
        client.resume_point().unwrap()
    };
    let ((), point) = timeout(LONG, async { tokio::join!(server, client) }).await.expect("nothing hangs");
    assert_eq!(point.unaccepted(), 3);
    let rooms: Vec<_> = point.rooms().collect();
    assert_eq!(rooms, [(Handle(1), "room", Some((EPOCH, Position(2))))], "3 was not taken");
    point
}

/// Resumes after [`break_off`].
async fn check_resumed<S, C>(
    server: impl FnOnce(Script) -> S,
    client: impl FnOnce(Result<(Client, Resumed), Error>) -> C,
) where
    S: Future<Output = ()>,
    C: Future<Output = ()>,
{
    let listener = Listener::bind().await;
    let point = break_off(&listener).await;
    both(async { server(listener.accept().await).await }, async {
        client(Client::resume(&listener.config, &point).await).await;
    })
    .await;
}

#[tokio::test]
async fn a_session_goes_on() {
    check_resumed(
        async |mut script| {
            assert_eq!(asked_to_resume(&script), Some((b"token".to_vec(), 1)), "direct 2 was not taken");
            welcome(&mut script, flags::RESUMED, 2, None).await;
            // Before anything else, all rooms on their handles; then exactly what did not arrive.
            let (request, handle, name, extensions) = script.receive_join().await;
            assert_eq!((request, handle, &name[..]), (RequestId(2), Handle(1), &b"room"[..]));
            let mut expected = since(2);
            put_extension(kind::PRESENCE, b"old", &mut expected);
            assert_eq!(extensions, expected);
            assert_eq!(script.receive_data().await, (Handle(1), 0x06, b"m3".to_vec()));
            assert_eq!(script.receive_data().await, (Handle(1), 0x30, b"m4".to_vec()), "urgent, and asks");
            // What comes before the room is joined again comes behind it once more. Directs do not.
            script.batch(Kind::Event, 0, 3, &[b"3"]).await;
            script.batch(Kind::Direct, 0, 1, &[b"d1", b"d2"]).await;
            let joined = Joined { outcome: Outcome::RECOVERED, position: Position(2), ..JOINED };
            script.send(Command::Joined(joined), request).await;
            script.batch(Kind::Event, 0, 3, &[b"3"]).await;
            // Heard before, and not heard before.
            script.refuse(RequestId(0), 2, Reason::BATCH_FULL).await;
            script.refuse(RequestId(0), 3, Reason::NO_SUCH_MEMBER).await;
            script.accepted(4).await;
            assert_eq!(script.receive_data().await, (Handle(1), 0, b"m5".to_vec()));
            let (_, handle, ..) = script.receive_join().await;
            assert_eq!(handle, Handle(2), "handles go on");
        },
        async |resumed| {
            let (mut client, resumed) = resumed.unwrap();
            assert_eq!(resumed, Resumed { session: true, resent: 2, ..Resumed::default() });
            assert_eq!(next_batch(&mut client).await, (2, vec![b"d2".to_vec()]));
            let Event::Joined { membership, .. } = client.next().await.unwrap() else { panic!("joined") };
            assert_eq!(membership.outcome, Outcome::RECOVERED);
            assert_eq!(next_batch(&mut client).await.0, 3);
            assert!(matches!(client.next().await, Ok(Event::Refused(refusal)) if refusal.number == 3));
            assert_eq!(client.next().await.unwrap(), Event::Accepted(4));
            assert_eq!(client.event(Handle(1), b"m5").await.unwrap(), 5, "numbers go on");
            client.sender().join("other", Mode::BOTH).await.unwrap();
            let point = client.resume_point().unwrap();
            assert_eq!(point.unaccepted(), 1);
            let rooms: Vec<_> = point.rooms().collect();
            let expected = [(Handle(1), "room", Some((EPOCH, Position(3)))), (Handle(2), "other", None)];
            assert_eq!(rooms, expected);
        },
    )
    .await;
}

#[tokio::test]
async fn a_new_session_hands_back_what_may_have_arrived() {
    check_resumed(
        async |mut script| {
            assert!(asked_to_resume(&script).is_some());
            welcome(&mut script, 0, 0, None).await;
            let (request, handle, _, extensions) = script.receive_join().await;
            assert_eq!((handle, &extensions[..since(2).len()]), (Handle(1), &since(2)[..]));
            let joined = Joined { outcome: Outcome::GAP, epoch: Epoch([1; 8]), position: Position(9), ..JOINED };
            script.send(Command::Joined(joined), request).await;
            // Directs are counted anew.
            script.batch(Kind::Direct, 0, 1, &[b"d1"]).await;
            // Numbers too: so a refusal is not one that was heard.
            assert_eq!(script.receive_data().await, (Handle(1), 0, b"again".to_vec()), "nothing was sent again");
            script.refuse(RequestId(0), 2, Reason::BATCH_FULL).await;
        },
        async |resumed| {
            let (mut client, resumed) = resumed.unwrap();
            assert!(!resumed.session && resumed.resent == 0);
            let unconfirmed: Vec<_> = resumed
                .unconfirmed
                .iter()
                .map(|message| (message.number, message.target, message.timing, &message.payload[..]))
                .collect();
            let expected: [(u64, Target, Timing, &[u8]); 3] = [
                (2, Target::Value(Key::member(3)), Timing::Tick, b"m2"),
                (3, Target::Direct(MemberNumber(2)), Timing::Tick, b"m3"),
                (4, Target::Event, Timing::Urgent, b"m4"),
            ];
            assert_eq!(unconfirmed, expected);
            assert!(matches!(client.next().await, Ok(Event::Joined { .. })));
            assert_eq!(client.position(Handle(1)), Some((Epoch([1; 8]), Position(9))));
            assert_eq!(next_batch(&mut client).await.0, 1);
            assert_eq!(client.event(resumed.unconfirmed[0].handle, b"again").await.unwrap(), 1);
            assert!(matches!(client.next().await, Ok(Event::Refused(refusal)) if refusal.number == 2));
        },
    )
    .await;
}

#[tokio::test]
async fn directs_are_missing_only_where_they_are_lost() {
    check_resumed(
        async |mut script| {
            welcome(&mut script, flags::RESUMED, 4, Some([2, 5])).await;
            script.receive_join().await;
            script.batch(Kind::Direct, 0, 6, &[b"d6"]).await;
            script.batch(Kind::Direct, 0, 8, &[b"d8"]).await;
        },
        async |resumed| {
            let (mut client, resumed) = resumed.unwrap();
            assert_eq!((resumed.lost_directs, resumed.resent), (Some((2, 5)), 0));
            assert_eq!(next_batch(&mut client).await.0, 6);
            let expected = Surprise::DirectNumber { expected: 7, found: 8 };
            assert!(matches!(client.next().await, Err(Error::Surprise(found)) if found == expected));
        },
    )
    .await;
}

#[tokio::test]
async fn a_room_that_cannot_be_joined_again_is_left_behind() {
    check_resumed(
        async |mut script| {
            welcome(&mut script, flags::RESUMED, 4, None).await;
            let (request, ..) = script.receive_join().await;
            script.refuse(request, 0, Reason::ROOM_FULL).await;
            script.batch(Kind::Event, 0, 3, &[b"3"]).await;
        },
        async |resumed| {
            let (mut client, _) = resumed.unwrap();
            assert!(matches!(client.next().await, Ok(Event::Refused(refusal)) if refusal.request == RequestId(2)));
            assert_eq!(client.position(Handle(1)), None);
            assert_eq!(client.resume_point().unwrap().rooms().count(), 0);
            assert!(matches!(client.next().await, Err(Error::Surprise(Surprise::UnknownRoom(ROOM)))));
        },
    )
    .await;
}

#[tokio::test]
async fn what_a_welcome_cannot_say_is_found() {
    /// A server that says this to a client that has sent 4 messages, of which 1 is accepted.
    async fn check(capabilities: Capabilities, accepted: u64) {
        check_resumed(
            async |mut script| {
                script.welcome(Welcome { flags: flags::RESUMED, accepted, capabilities, ..ABLE }).await;
                let frame = script.receive().await;
                let command = Control::decode(&frame.payload).unwrap().command;
                assert!(matches!(command, Command::Close(close) if close.reason == Reason::MALFORMED));
            },
            async |resumed| {
                let expected = Surprise::Accepted { sent: 4, found: accepted };
                assert!(matches!(resumed, Err(Error::Surprise(found)) if found == expected), "{expected}");
            },
        )
        .await;
    }
    check(ABLE.capabilities, 5).await;
    check(ABLE.capabilities, 0).await;
    // Without the capability, nobody knows.
    check(Capabilities::RESUME, 1).await;

    super::script::check(
        async |mut script| {
            welcome(&mut script, flags::RESUMED, 0, None).await;
            let frame = script.receive().await;
            assert!(matches!(Control::decode(&frame.payload).unwrap().command, Command::Close(_)));
        },
        async |client| assert!(matches!(client.unwrap_err(), Error::Surprise(Surprise::ResumedUnasked))),
    )
    .await;
}

#[tokio::test]
async fn a_point_can_be_tried_again() {
    let listener = Listener::bind().await;
    let point = break_off(&listener).await;
    both(
        async {
            let mut script = listener.accept().await;
            script.send(close(Reason::SERVER_FULL), RequestId(1)).await;
            let mut script = listener.accept().await;
            assert_eq!(asked_to_resume(&script), Some((b"token".to_vec(), 1)));
            welcome(&mut script, flags::RESUMED, 1, None).await;
            script.receive_join().await;
            for expected in [b"m2", b"m3", b"m4"] {
                assert_eq!(script.receive_data().await.2, expected);
            }
        },
        async {
            let refused = Client::resume(&listener.config, &point).await;
            assert!(matches!(refused, Err(Error::Closed(closing)) if closing.reason == Some(Reason::SERVER_FULL)));
            let (client, resumed) = Client::resume(&listener.config, &point).await.unwrap();
            assert_eq!(resumed.resent, 3);
            // The connection stays until the server has read all of it.
            let (_sender, mut receiver) = client.split();
            assert!(matches!(receiver.next().await, Ok(Event::Closed(_))));
        },
    )
    .await;
}

#[tokio::test]
async fn more_than_a_queue_holds_is_sent_again() {
    let listener = Listener::bind().await;
    let (resumed, is_resumed) = tokio::sync::oneshot::channel();
    both(
        async {
            let mut script = listener.accept().await;
            welcome(&mut script, 0, 0, None).await;
            for _ in 0..300 {
                script.receive_data().await;
            }
            drop(script);
            let mut script = listener.accept().await;
            welcome(&mut script, flags::RESUMED, 100, None).await;
            // Nothing is read before the client goes on.
            is_resumed.await.unwrap();
            for number in 101..=300_u64 {
                assert_eq!(script.receive_data().await.2, number.to_be_bytes());
            }
            assert_eq!(script.receive_data().await.2, b"new");
        },
        async {
            let mut client = Client::connect(&listener.config).await.unwrap();
            for number in 1..=300_u64 {
                assert_eq!(client.event(Handle(1), &number.to_be_bytes()).await.unwrap(), number);
            }
            assert!(matches!(client.next().await, Ok(Event::Closed(_))));
            let point = client.resume_point().unwrap();
            let (mut client, found) = Client::resume(&listener.config, &point).await.unwrap();
            assert_eq!(found.resent, 200);
            assert_eq!(client.sender().accepted(), 100);
            assert_eq!(client.event(Handle(1), b"new").await.unwrap(), 301);
            resumed.send(()).unwrap();
            assert!(matches!(client.next().await, Ok(Event::Closed(_))));
        },
    )
    .await;
}

#[tokio::test]
async fn what_was_being_left_is_left() {
    let listener = Listener::bind().await;
    let join = async |script: &mut Script, handle, room| {
        let (request, ..) = script.receive_join().await;
        script.send(Command::Joined(Joined { handle: Handle(handle), room: RoomId(room), ..JOINED }), request).await;
    };
    both(
        async {
            let mut script = listener.accept().await;
            welcome(&mut script, 0, 0, None).await;
            join(&mut script, 1, 7).await;
            join(&mut script, 2, 8).await;
            // LEAVE of the first is not answered; the connection breaks.
            script.receive_data().await;
            script.receive().await;
            drop(script);
            let mut script = listener.accept().await;
            welcome(&mut script, flags::RESUMED, 0, None).await;
            let (_, handle, _, extensions) = script.receive_join().await;
            assert_eq!((handle, extensions), (Handle(2), since(0)));
            assert_eq!(script.receive_data().await, (Handle(1), flags::ACKNOWLEDGE, b"last".to_vec()), "sent again");
            let frame = script.receive().await;
            let control = Control::decode(&frame.payload).unwrap();
            assert!(matches!(control.command, Command::Leave(leave) if leave.handle == Handle(1)), "behind it");
            // It still sends.
            script.batch(Kind::Event, 0, 1, &[b"e"]).await;
            let left = Left { handle: Handle(1), reason: Reason::FINISHED, extensions: Extensions::NONE };
            script.accepted(1).await;
            script.send(Command::Left(left), control.request).await;
            drop(script);
            let mut script = listener.accept().await;
            welcome(&mut script, 0, 0, None).await;
            let (_, handle, ..) = script.receive_join().await;
            assert_eq!(handle, Handle(2), "a new session is not in the first");
        },
        async {
            let mut client = Client::connect(&listener.config).await.unwrap();
            let first = client.join("first", Mode::BOTH).await.unwrap().handle;
            client.join("second", Mode::BOTH).await.unwrap();
            client.event(first, b"last").await.unwrap();
            assert!(matches!(client.leave(first).await, Err(Error::Closed(_))));
            let before = client.resume_point().unwrap();
            let (mut client, resumed) = Client::resume(&listener.config, &before).await.unwrap();
            assert!(resumed.session);
            assert!(matches!(client.next().await, Ok(Event::Accepted(1))));
            assert!(matches!(client.next().await, Ok(Event::Left { handle, .. }) if handle == first));
            let point = client.resume_point().unwrap();
            assert_eq!(point.rooms().map(|(handle, ..)| handle).collect::<Vec<_>>(), [Handle(2)]);
            assert!(matches!(client.next().await, Ok(Event::Closed(_))));
            Client::resume(&listener.config, &before).await.unwrap();
        },
    )
    .await;
}

#[tokio::test]
async fn who_only_publishes_has_missed_nothing() {
    let listener = Listener::bind().await;
    both(
        async {
            let mut script = listener.accept().await;
            welcome(&mut script, 0, 0, None).await;
            let (request, ..) = script.receive_join().await;
            script.send(Command::Joined(Joined { mode: Mode::PUBLISH, ..JOINED }), request).await;
            drop(script);
            let mut script = listener.accept().await;
            welcome(&mut script, flags::RESUMED, 0, None).await;
            let (.., extensions) = script.receive_join().await;
            assert!(extensions.is_empty());
        },
        async {
            let mut client = Client::connect(&listener.config).await.unwrap();
            client.join("room", Mode::PUBLISH).await.unwrap();
            assert!(matches!(client.next().await, Ok(Event::Closed(_))));
            let point = client.resume_point().unwrap();
            Client::resume(&listener.config, &point).await.unwrap();
        },
    )
    .await;
}

#[tokio::test]
async fn both_halves_know_where_to_go_on() {
    let listener = Listener::bind().await;
    both(
        async {
            let mut script = listener.accept().await;
            welcome(&mut script, 0, 0, None).await;
            script.batch(Kind::Event, 0, 1, &[]).await;
        },
        async {
            let client = Client::connect(&listener.config).await.unwrap();
            let (sender, mut receiver) = client.split();
            assert!(receiver.next().await.is_err(), "a room that was not joined");
            let point = receiver.resume_point().unwrap();
            drop(receiver);
            let other = sender.resume_point().unwrap();
            assert_eq!(format!("{point:?}"), format!("{other:?}"));
            assert!(!format!("{point:?}").contains("token\""), "a token is not shown");
        },
    )
    .await;
}

#[tokio::test]
async fn there_is_no_way_back_without_a_token_or_after_a_goodbye() {
    check_able(
        async |mut script| {
            let request = script.receive_request().await;
            script.send(close(Reason::FINISHED), request).await;
        },
        async |mut client, _| {
            assert!(client.resume_point().is_none(), "no token");
            client.sender().close().await.unwrap();
            assert!(matches!(client.next().await, Ok(Event::Closed(_))));
        },
    )
    .await;
    check(
        async |mut script| {
            welcome(&mut script, 0, 0, None).await;
            let request = script.receive_request().await;
            script.send(close(Reason::FINISHED), request).await;
        },
        async |client| {
            let mut client = client.unwrap();
            assert!(client.resume_point().is_some());
            client.sender().close().await.unwrap();
            assert!(matches!(client.next().await, Ok(Event::Closed(_))));
            assert!(client.resume_point().is_none(), "it has ended as asked");
        },
    )
    .await;
}
