//! Joins that name a position, and gaps.

use super::script::*;

fn since(position: u64) -> JoinOptions {
    JoinOptions::new(Mode::BOTH).since(EPOCH, Position(position))
}

/// Joins with `options`, answers with `joined`, and goes on with both sides.
async fn check_join<S, C>(
    options: JoinOptions,
    joined: Joined<'_>,
    server: impl FnOnce(Script) -> S,
    client: impl FnOnce(Client, Result<Membership, Error>) -> C,
) where
    S: Future<Output = ()>,
    C: Future<Output = ()>,
{
    check(
        async |mut script| {
            script.welcome(ABLE).await;
            let (request, ..) = script.receive_join().await;
            script.send(Command::Joined(joined), request).await;
            server(script).await;
        },
        async |connected| {
            let mut connected = connected.unwrap();
            let membership = connected.join_with("room", options).await;
            client(connected, membership).await;
        },
    )
    .await;
}

fn gap(room: RoomId, epoch: Epoch, from: u64, to: u64) -> Command<'static> {
    Command::Gap(Gap { room, epoch, from: Position(from), to: Position(to), extensions: Extensions::NONE })
}

#[tokio::test]
async fn a_join_says_all_it_is_told_to() {
    check(
        async |mut script| {
            script.welcome(ABLE).await;
            let (request, handle, name, encoded) = script.receive_join().await;
            assert_eq!((handle, &name[..]), (Handle(1), &b"room"[..]));
            let extensions = Extensions::from_encoded(&encoded).unwrap();
            assert_eq!(extensions.get(kind::LOGIC), Some(&b"logic"[..]));
            assert_eq!(extensions.get(kind::SINCE), Some(&[9, 9, 9, 9, 9, 9, 9, 9, 5][..]));
            assert_eq!(extensions.get(kind::PRESENCE), Some(&b"me"[..]));
            let mut answer = Vec::new();
            put_extension(kind::LOGIC, b"welcome", &mut answer);
            put_extension(kind::LOST, &[6, 8], &mut answer);
            let extensions = Extensions::from_encoded(&answer).unwrap();
            let joined = Joined { outcome: Outcome::GAP, position: Position(8), extensions, ..JOINED };
            script.send(Command::Joined(joined), request).await;
        },
        async |client| {
            let mut client = client.unwrap();
            let too_large = JoinOptions::new(Mode::BOTH).data(vec![0; 101]);
            let refused = client.join_with("room", too_large).await;
            assert!(matches!(refused, Err(Error::MessageTooLarge { .. })));
            let options = since(5).data(&b"logic"[..]).presence(&b"me"[..]);
            let membership = client.join_with("room", options).await.unwrap();
            assert_eq!((membership.outcome, membership.epoch), (Outcome::GAP, EPOCH));
            assert_eq!(membership.answer, &b"welcome"[..]);
            assert_eq!(membership.lost, Some((Position(6), Position(8))));
        },
    )
    .await;
}

#[tokio::test]
async fn a_recovered_room_goes_on_behind_the_position_that_was_asked_for() {
    let recovered = Joined { outcome: Outcome::RECOVERED, position: Position(5), ..JOINED };
    check_join(
        since(5),
        recovered,
        async |mut script| {
            script.batch(Kind::Event, flags::MORE, 6, &[b"6"]).await;
            script.batch(Kind::Event, 0, 6, &[b"6"]).await;
            script.batch(Kind::Event, 0, 7, &[b"7"]).await;
            script.batch(Kind::Snapshot, 0, 7, &[]).await;
            script.batch(Kind::Event, 0, 9, &[b"9"]).await;
        },
        async |mut client, membership| {
            let handle = membership.unwrap().handle;
            assert_eq!(client.position(handle), Some((EPOCH, Position(5))));
            assert_eq!(next_batch(&mut client).await.0, 6);
            assert_eq!(client.position(handle), Some((EPOCH, Position(5))), "6 is not complete");
            assert_eq!(next_batch(&mut client).await.0, 6);
            assert_eq!(client.position(handle), Some((EPOCH, Position(6))));
            assert_eq!(next_batch(&mut client).await.0, 7);
            assert!(matches!(client.next().await, Ok(Event::Snapshot(_))));
            let surprise = client.next().await;
            let expected = Surprise::Position { expected: Position(8), found: Position(9) };
            assert!(matches!(surprise, Err(Error::Surprise(found)) if found == expected));
        },
    )
    .await;
}

#[tokio::test]
async fn a_gap_goes_on_behind_what_is_lost() {
    let joined = Joined { outcome: Outcome::GAP, position: Position(8), ..JOINED };
    check_join(
        since(5),
        joined,
        // A part of what is behind is replayed.
        async |mut script| script.batch(Kind::Event, 0, 9, &[b"9"]).await,
        async |mut client, membership| {
            let handle = membership.unwrap().handle;
            assert_eq!(client.position(handle), Some((EPOCH, Position(8))));
            assert_eq!(next_batch(&mut client).await.0, 9);
            assert_eq!(client.position(handle), Some((EPOCH, Position(9))));
        },
    )
    .await;
}

#[tokio::test]
async fn another_life_of_the_room_is_a_gap() {
    let epoch = Epoch([1; 8]);
    let joined = Joined { outcome: Outcome::GAP, epoch, position: Position(2), ..JOINED };
    check_join(
        since(5),
        joined,
        async |mut script| script.batch(Kind::Event, 0, 3, &[b"3"]).await,
        async |mut client, membership| {
            assert_eq!(next_batch(&mut client).await.0, 3);
            assert_eq!(client.position(membership.unwrap().handle), Some((epoch, Position(3))));
        },
    )
    .await;
}

#[tokio::test]
async fn what_was_not_asked_for_is_not_recovered() {
    async fn check(epoch: Epoch, position: u64) {
        let joined = Joined { outcome: Outcome::RECOVERED, epoch, position: Position(position), ..JOINED };
        let expected = Surprise::Recovered { asked: Position(5), found: Position(position) };
        check_join(
            since(5),
            joined,
            async |mut script| {
                let frame = script.receive().await;
                assert!(matches!(Control::decode(&frame.payload).unwrap().command, Command::Close(_)));
            },
            async |mut client, membership| {
                assert!(matches!(membership, Err(Error::Surprise(found)) if found == expected), "{membership:?}");
                assert!(matches!(client.next().await, Err(Error::Ended)));
            },
        )
        .await;
    }
    check(EPOCH, 6).await;
    check(EPOCH, 4).await;
    check(Epoch([1; 8]), 5).await;
}

#[tokio::test]
async fn gaps_are_told_and_checked() {
    check_able(
        async |mut script| {
            script.batch(Kind::Event, 0, 1, &[b"1"]).await;
            // Half of a batch, whose other half never comes.
            script.batch(Kind::Event, flags::MORE, 2, &[b"2"]).await;
            script.send(gap(ROOM, EPOCH, 2, 4), RequestId(0)).await;
            script.batch(Kind::Event, 0, 5, &[b"5"]).await;
            // Nothing is lost but values.
            script.send(gap(ROOM, EPOCH, 6, 5), RequestId(0)).await;
            script.batch(Kind::Event, 0, 6, &[b"6"]).await;
            // Another life.
            script.send(gap(ROOM, Epoch([1; 8]), 1, 2), RequestId(0)).await;
            script.batch(Kind::Event, 0, 3, &[b"3"]).await;
        },
        async |mut client, handle| {
            for _ in 0..2 {
                next_batch(&mut client).await;
            }
            assert!(matches!(client.next().await, Ok(Event::Gap { .. })));
            assert_eq!(next_batch(&mut client).await.0, 5);
            assert!(matches!(client.next().await, Ok(Event::Gap { from: Position(6), to: Position(5), .. })));
            assert_eq!(client.position(handle), Some((EPOCH, Position(5))));
            assert_eq!(next_batch(&mut client).await.0, 6);
            assert!(matches!(client.next().await, Ok(Event::Gap { .. })));
            assert_eq!(client.position(handle), Some((Epoch([1; 8]), Position(2))));
            assert_eq!(next_batch(&mut client).await.0, 3);
        },
    )
    .await;
}

#[tokio::test]
async fn gaps_that_cannot_be_are_found() {
    async fn check(command: Command<'_>, expected: Surprise) {
        check_able(
            async |mut script| script.send(command, RequestId(0)).await,
            async |mut client, _| {
                let found = client.next().await;
                assert!(matches!(found, Err(Error::Surprise(found)) if found == expected), "{expected}");
            },
        )
        .await;
    }
    check(gap(RoomId(8), EPOCH, 1, 2), Surprise::UnknownRoom(RoomId(8))).await;
    // Position 1 is neither here nor lost.
    check(gap(ROOM, EPOCH, 2, 4), Surprise::Position { expected: Position(1), found: Position(2) }).await;
}
