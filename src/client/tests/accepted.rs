//! Messages that are kept until they are accepted.

use super::script::*;

/// Every second message of so many bytes asks, and so the third one waits: bounds are at least 256 KiB.
const LARGE: usize = 60_000;

/// A server that takes large messages.
const WIDE: Welcome<'static> = Welcome { max_message: 62_000, max_frame: 65_000, ..ABLE };

/// A client with the smallest bounds, in a room.
async fn check_small<S, C>(server: impl FnOnce(Script) -> S, client: impl FnOnce(Client, Handle) -> C)
where
    S: Future<Output = ()>,
    C: Future<Output = ()>,
{
    let listener = Listener::bind().await;
    let config = listener.config.clone().unaccepted(0, 0);
    both(
        async {
            let mut script = listener.accept().await;
            script.welcome(WIDE).await;
            let request = script.receive_request().await;
            script.send(joined(Handle(1)), request).await;
            server(script).await;
        },
        async {
            let mut connected = Client::connect(&config).await.unwrap();
            let handle = connected.join("room", Mode::BOTH).await.unwrap().handle;
            client(connected, handle).await;
        },
    )
    .await;
}

#[tokio::test]
async fn accepted_numbers_are_heard_wherever_they_are_told() {
    check_able(
        async |mut script| {
            for _ in 0..4 {
                let (_, options, _) = script.receive_data().await;
                assert_eq!(options & flags::ACKNOWLEDGE, 0, "there is a place for more");
            }
            script.accepted(1).await;
            script.ping(2).await;
            // Neither is news.
            script.ping(2).await;
            script.accepted(1).await;
            // The client's ping is somewhere between its answers to those of the server.
            let mut asked = script.receive().await;
            while asked.header.flags == flags::ANSWER {
                asked = script.receive().await;
            }
            let ping = Ping::decode(asked.header.flags, &asked.payload, crate::wire::Sender::Client).unwrap();
            let body = PingBody::ServerAnswer { clock: 1, received: 9, sent: 9, accepted: 4 };
            let mut out = Vec::new();
            Ping { time: ping.time, body, extensions: Extensions::NONE }.encode(&mut out);
            script.write(&out).await;
        },
        async |mut client, handle| {
            for number in 1..=4 {
                assert_eq!(client.event(handle, b"e").await.unwrap(), number);
            }
            assert_eq!(client.sender().accepted(), 0);
            assert_eq!(client.next().await.unwrap(), Event::Accepted(1));
            assert_eq!(client.next().await.unwrap(), Event::Accepted(2));
            client.ping().await.unwrap();
            assert_eq!(client.sender().accepted(), 4);
        },
    )
    .await;
}

#[tokio::test]
async fn more_than_was_sent_is_not_accepted() {
    async fn check(server: impl AsyncFnOnce(&mut Script)) {
        check_able(
            async |mut script| {
                script.receive_data().await;
                server(&mut script).await;
                // Behind the answer to a ping, if there was one.
                while let Some(frame) = script.try_receive().await {
                    if frame.header.frame_type == FrameType::Control {
                        let command = Control::decode(&frame.payload).unwrap().command;
                        assert!(matches!(command, Command::Close(close) if close.reason == Reason::MALFORMED));
                        return;
                    }
                }
                panic!("the client says why");
            },
            async |mut client, handle| {
                client.event(handle, b"e").await.unwrap();
                let found = client.next().await;
                let expected = Surprise::Accepted { sent: 1, found: 2 };
                assert!(matches!(found, Err(Error::Surprise(found)) if found == expected));
            },
        )
        .await;
    }
    check(async |script| script.accepted(2).await).await;
    check(async |script| script.ping(2).await).await;
}

#[tokio::test]
async fn a_server_that_did_not_agree_to_tell_is_not_believed() {
    check_joined(
        async |mut script| {
            script.accepted(7).await;
            script.ping(7).await;
            script.batch(Kind::Event, 0, 1, &[b"e"]).await;
        },
        async |mut client, _| {
            assert_eq!(next_batch(&mut client).await.0, 1);
            assert_eq!(client.sender().accepted(), 0);
            assert!(client.resume_point().is_none());
        },
    )
    .await;
}

#[tokio::test]
async fn a_client_that_is_full_reads_until_there_is_a_place() {
    check_small(
        async |mut script| {
            // Four have a place. The second to ask came with them.
            let mut asked = Vec::new();
            for number in 1..=4 {
                let (_, options, payload) = script.receive_data().await;
                assert_eq!(payload.len(), LARGE);
                if options & flags::ACKNOWLEDGE != 0 {
                    asked.push(number);
                }
            }
            assert_eq!(asked, [2, 4]);
            script.batch(Kind::Event, 0, 1, &[b"meanwhile"]).await;
            script.accepted(2).await;
            script.receive_data().await;
            script.receive_data().await;
            // The next one waits; the server goes.
        },
        async |mut client, handle| {
            let payload = vec![0; LARGE];
            for number in 1..=6 {
                assert_eq!(client.event(handle, &payload).await.unwrap(), number);
            }
            let closed = client.event(handle, &payload).await;
            assert!(matches!(closed, Err(Error::Closed(_))), "{closed:?}");
            assert_eq!(next_batch(&mut client).await.0, 1, "kept for later");
            assert!(matches!(client.event(handle, b"e").await, Err(Error::Ended)));
        },
    )
    .await;
}

#[tokio::test]
async fn a_sender_that_is_full_waits_and_can_be_cancelled() {
    check_small(
        async |mut script| {
            for _ in 0..4 {
                script.receive_data().await;
            }
            script.accepted(2).await;
            let (.., payload) = script.receive_data().await;
            assert_eq!(payload, vec![5; LARGE], "what was cancelled was not sent");
        },
        async |client, handle| {
            let (mut sender, mut receiver) = client.split();
            for number in 1..=4 {
                sender.event(handle, &vec![number; LARGE]).await.unwrap();
            }
            // Asked once, and dropped.
            assert!(timeout(Duration::ZERO, sender.event(handle, &vec![9; LARGE])).await.is_err());
            let payload = vec![5; LARGE];
            let (number, accepted) = tokio::join!(sender.event(handle, &payload), receiver.next());
            assert_eq!((number.unwrap(), accepted.unwrap()), (5, Event::Accepted(2)));
        },
    )
    .await;
}

#[tokio::test]
async fn who_waits_for_a_place_is_told_of_the_end() {
    /// What happens to the receiving half while the sending half waits.
    async fn check(end: impl AsyncFnOnce(Receiver)) {
        check_small(
            async |mut script| {
                for _ in 0..4 {
                    script.receive_data().await;
                }
                script.send(close(Reason::SLOW), RequestId(0)).await;
                while script.try_receive().await.is_some() {}
            },
            async |client, handle| {
                let (mut sender, receiver) = client.split();
                for _ in 0..4 {
                    sender.event(handle, &vec![0; LARGE]).await.unwrap();
                }
                let payload = vec![0; LARGE];
                let (ended, ()) = tokio::join!(sender.event(handle, &payload), end(receiver));
                assert!(matches!(ended, Err(Error::Ended)));
            },
        )
        .await;
    }
    check(async |mut receiver| assert!(matches!(receiver.next().await, Ok(Event::Closed(_))))).await;
    check(async |receiver| drop(receiver)).await;
}

#[tokio::test]
async fn a_message_that_is_too_large_does_not_wait() {
    check_small(
        async |mut script| while script.try_receive().await.is_some() {},
        async |mut client, handle| {
            for _ in 0..4 {
                client.event(handle, &vec![0; LARGE]).await.unwrap();
            }
            let large = client.event(handle, &vec![0; 64_000]).await;
            assert!(matches!(large, Err(Error::MessageTooLarge { .. })));
        },
    )
    .await;
}
