//! Compression, receiving less, and lists of members.

use flate2::{Compress, Compression, FlushCompress};

use super::script::*;

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 64);
    Compress::new(Compression::best(), false).compress_vec(bytes, &mut out, FlushCompress::Finish).unwrap();
    out
}

#[tokio::test]
async fn everything_is_offered_unless_the_application_wants_less() {
    async fn check(change: impl FnOnce(ClientConfig) -> ClientConfig, expected: u64) {
        let listener = Listener::bind().await;
        let config = change(listener.config.clone());
        both(
            async {
                let mut script = listener.accept().await;
                let Command::Hello(hello) = Control::decode(&script.hello).unwrap().command else { panic!("hello") };
                assert_eq!(hello.capabilities.0, expected);
                // A server that says more than it was asked for.
                let capabilities = Capabilities(0xff);
                script.welcome(Welcome { capabilities, ..WELCOME }).await;
            },
            async {
                let client = Client::connect(&config).await.unwrap();
                assert_eq!(client.terms().capabilities.0, expected);
            },
        )
        .await;
    }
    check(|config| config, 0b111_1111).await;
    check(|config| config.capabilities(Capabilities::DEFLATE), 0b100).await;
    check(|config| config.capabilities(Capabilities(1 << 20)), 0).await;
}

#[tokio::test]
async fn compressed_records_are_inflated_and_count_as_they_came() {
    check_able(
        async |mut script| {
            let payload = [b'x'; 900];
            let stream = deflate(&records(Kind::Event, &[&payload, b"short"]));
            assert!(stream.len() < 100);
            script.records(Kind::Event, flags::COMPRESSED, 1, &stream).await;
            script.records(Kind::Direct, flags::COMPRESSED, 1, &deflate(&records(Kind::Direct, &[b"d"]))).await;
            script.records(Kind::Event, flags::COMPRESSED, 2, &deflate(b"")).await;
            script.ping(0).await;
            script.batch(Kind::Event, 0, 3, &[b"plain"]).await;
            let answer = script.receive().await;
            let ping = Ping::decode(answer.header.flags, &answer.payload, crate::wire::Sender::Client).unwrap();
            let PingBody::Client { consumed, directs, .. } = ping.body else { panic!("a client's") };
            assert_eq!(directs, 1);
            assert!((60..250).contains(&consumed), "{consumed} bytes: as they came, not as they became");
        },
        async |mut client, _| {
            let (position, payloads) = next_batch(&mut client).await;
            assert_eq!((position, payloads.len(), payloads[0].len()), (1, 2, 900));
            assert_eq!(next_batch(&mut client).await, (1, vec![b"d".to_vec()]));
            assert_eq!(next_batch(&mut client).await, (2, vec![]));
            assert_eq!(next_batch(&mut client).await, (3, vec![b"plain".to_vec()]));
        },
    )
    .await;
}

#[tokio::test]
async fn a_bomb_and_a_broken_stream_close_with_malformed() {
    async fn check(stream: &[u8], expected: Surprise) {
        check_able(
            async |mut script| {
                script.records(Kind::Event, flags::COMPRESSED, 1, stream).await;
                let frame = script.receive().await;
                let Command::Close(close) = Control::decode(&frame.payload).unwrap().command else { panic!("a close") };
                assert_eq!(close.reason, Reason::MALFORMED);
            },
            async |mut client, _| {
                let Err(Error::Surprise(surprise)) = client.next().await else { panic!("{expected}") };
                assert_eq!(surprise, expected);
                // The queue is written before the connection goes.
                assert!(matches!(client.next().await, Err(Error::Ended)));
            },
        )
        .await;
    }
    check(&deflate(&vec![0; 8 << 20]), Surprise::Inflated).await;
    check(&[0xff, 0xff], Surprise::Corrupt).await;
    check(b"", Surprise::Corrupt).await;
    let whole = deflate(&records(Kind::Event, &[b"cut off somewhere"]));
    check(&whole[..whole.len() - 1], Surprise::Corrupt).await;
}

#[tokio::test]
async fn inflated_records_are_checked_like_others() {
    check_able(
        async |mut script| {
            // A record that says it is longer than what was inflated.
            script.records(Kind::Event, flags::COMPRESSED, 1, &deflate(&[9, 1, b'x'])).await;
        },
        async |mut client, _| {
            assert!(matches!(client.next().await, Err(Error::Decode(DecodeError::Truncated))));
        },
    )
    .await;
}

#[tokio::test]
async fn less_of_a_room_is_asked_for_and_more_again() {
    check_able(
        async |mut script| {
            script.batch(Kind::Event, 0, 1, &[b"a"]).await;
            for what in [1, 2, 0] {
                let frame = script.receive().await;
                let control = Control::decode(&frame.payload).unwrap();
                let Command::Receive(receive) = control.command else { panic!("{control:?}") };
                assert_eq!((receive.handle, receive.what, receive.divisor, receive.area), (Handle(1), what, 1, 0));
                script.send(Command::Done(Done::default()), control.request).await;
            }
            let (from, to) = (Position(2), Position(6));
            let gap = Gap { room: ROOM, epoch: EPOCH, from, to, extensions: Extensions::NONE };
            script.send(Command::Gap(gap), RequestId(0)).await;
            script.batch(Kind::Snapshot, 0, 6, &[b"v"]).await;
            script.batch(Kind::Event, 0, 7, &[b"b"]).await;
            let request = script.receive_request().await;
            script.refuse(request, 0, Reason::ARGUMENT).await;
        },
        async |mut client, handle| {
            client.receive(handle, What::Events).await.unwrap();
            client.receive(handle, What::Paused).await.unwrap();
            client.receive(handle, What::All).await.unwrap();
            assert_eq!(client.position(handle), Some((EPOCH, Position(0))), "nothing was taken yet");
            assert_eq!(next_batch(&mut client).await.0, 1);
            assert_eq!(client.position(handle), Some((EPOCH, Position(1))));
            let gap = Event::Gap { handle, epoch: EPOCH, from: Position(2), to: Position(6) };
            assert_eq!(client.next().await.unwrap(), gap);
            assert_eq!(client.position(handle), Some((EPOCH, Position(6))));
            assert!(matches!(client.next().await, Ok(Event::Snapshot(_))));
            assert_eq!(next_batch(&mut client).await.0, 7);
            let refused = client.receive(handle, What::All).await;
            assert!(matches!(refused, Err(Error::Refused(refusal)) if refusal.reason == Reason::ARGUMENT));
        },
    )
    .await;
}

#[tokio::test]
async fn members_are_fetched_page_by_page() {
    check_able(
        async |mut script| {
            script.batch(Kind::Event, 0, 1, &[b"kept for later"]).await;
            let (request, after) = asked_for(&mut script).await;
            assert_eq!(after, MemberNumber(0));
            let first = page(&[(3, here(b"ann", b"1")), (5, here(b"", b""))]);
            script.send(answer(5, &first), request).await;
            let (request, after) = asked_for(&mut script).await;
            assert_eq!(after, MemberNumber(5));
            let last = page(&[(9, here(b"bob", b"")), (9, vec![2]), (10, vec![2]), (10, vec![0x77])]);
            script.send(answer(0, &last), request).await;
            // Nobody asks any more, until it is refused.
            let (request, _) = asked_for(&mut script).await;
            script.refuse(request, 0, Reason::CAPABILITY).await;
        },
        async |mut client, handle| {
            let members = client.members(handle).await.unwrap();
            let shown: Vec<_> = members
                .iter()
                .map(|member| (member.number.0, &member.subject[..], &member.data[..], member.away))
                .collect();
            let expected: [(u64, &[u8], &[u8], bool); 4] =
                [(3, b"ann", b"1", false), (5, b"", b"", false), (9, b"bob", b"", true), (10, b"", b"", true)];
            assert_eq!(shown, expected);
            let refused = client.members(handle).await;
            assert!(matches!(refused, Err(Error::Refused(refusal)) if refusal.reason == Reason::CAPABILITY));
            assert_eq!(next_batch(&mut client).await.0, 1);
        },
    )
    .await;
}

#[tokio::test]
async fn pages_that_do_not_come_to_an_end_are_found() {
    /// The second page, after one that ends with member 5.
    async fn check(next: u64, records: &[(u64, Vec<u8>)]) {
        check_able(
            async |mut script| {
                let (request, _) = asked_for(&mut script).await;
                script.send(answer(5, &page(&[(5, here(b"", b""))])), request).await;
                let (request, _) = asked_for(&mut script).await;
                script.send(answer(next, &page(records)), request).await;
                let frame = script.receive().await;
                assert!(matches!(Control::decode(&frame.payload).unwrap().command, Command::Close(_)));
            },
            async |mut client, handle| {
                let members = client.members(handle).await;
                assert!(matches!(members, Err(Error::Surprise(Surprise::Page))), "{next} {records:?}: {members:?}");
                assert!(matches!(client.next().await, Err(Error::Ended)));
            },
        )
        .await;
    }
    check(5, &[(6, here(b"", b""))]).await;
    check(4, &[(6, here(b"", b""))]).await;
    check(9, &[]).await;
    check(0, &[(5, here(b"", b""))]).await;
    check(7, &[(7, here(b"", b"")), (6, here(b"", b""))]).await;
    check(6, &[(6, here(b"", b"")), (7, here(b"", b""))]).await;
}

#[tokio::test]
async fn a_list_without_end_has_a_bound() {
    check_able(
        async |mut script| {
            // Every page has more, and the numbers ascend for ever.
            let data = vec![b'd'; 60_000];
            for number in 1.. {
                let Some(frame) = script.try_receive().await else { break };
                let control = Control::decode(&frame.payload).unwrap();
                let records = page(&[(number, here(b"", &data))]);
                let mut out = Vec::new();
                Control::new(control.request, answer(number, &records)).encode(&mut out);
                if tokio::io::AsyncWriteExt::write_all(&mut script.stream, &out).await.is_err() {
                    break;
                }
                assert!(number < 1000, "32 MiB are 560 pages of 60 kB");
            }
        },
        async |mut client, handle| {
            assert!(matches!(client.members(handle).await, Err(Error::TooManyMembers)));
        },
    )
    .await;
}

async fn asked_for(script: &mut Script) -> (RequestId, MemberNumber) {
    let frame = script.receive().await;
    let control = Control::decode(&frame.payload).unwrap();
    let Command::Members(Members { handle: Handle(1), after, .. }) = control.command else { panic!("{control:?}") };
    (control.request, after)
}

fn answer(next: u64, records: &[u8]) -> Command<'_> {
    let (handle, next) = (Handle(1), MemberNumber(next));
    Command::Page(Page { handle, position: Position(1), next, records, extensions: Extensions::NONE })
}

fn page(members: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (member, payload) in members {
        Record { member: MemberNumber(*member), key: None, payload }.encode(&mut out);
    }
    out
}

fn here(subject: &[u8], data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Presence::Here { subject, data }.encode(&mut out);
    out
}
