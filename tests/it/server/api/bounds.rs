//! Bodies that are too large, too late, of the wrong kind or broken.

use std::time::Duration;

use tickwire::name::RoomName;
use tickwire::server::api::{ApiError, RoomOrder, RoomQuery};

use super::*;

const EVENTS: (&str, &str) = ("POST", "/v1/rooms/one/events");

#[tokio::test]
async fn a_body_has_a_type_and_a_length() {
    let server = start().await;
    for media in
        ["application/x-www-form-urlencoded", "text/html", "text/plain; charset=latin1", "application/jsonx", ""]
    {
        assert_eq!(put(&server, ALL, EVENTS, media, b"7").await.refused(), (415, "MEDIA_TYPE"), "{media}");
    }
    assert_eq!(put(&server, ALL, ("POST", "/v1/publish"), "text/plain", b"7").await.refused(), (415, "MEDIA_TYPE"));
    let (method, path) = EVENTS;
    let ask = async |headers: &str, body: &[u8]| send(&server, method, path, &(bearer(ALL) + headers), body).await;
    assert_eq!(ask("Content-Length: 1\r\n", b"7").await.refused(), (415, "MEDIA_TYPE"));
    assert_eq!(ask("Content-Type: text/plain\r\n", b"").await.refused(), (411, "LENGTH"));
    let gzip = "Content-Type: text/plain\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n";
    assert_eq!(ask(gzip, b"7").await.refused(), (415, "MEDIA_TYPE"));
    let twice = "Content-Type: text/plain\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n";
    assert_eq!(ask(twice, b"7").await.refused(), (415, "MEDIA_TYPE"));
    let chunked = "Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n";
    assert_eq!(ask(chunked, b"1\r\n7\r\n0\r\n\r\n").await.status, 200);
    server.finish().await;
}

#[tokio::test]
async fn a_body_has_an_end() {
    let server = start().await;
    let announced = "Content-Type: text/plain\r\nContent-Length: 1048577\r\n";
    let answer = send(&server, "POST", EVENTS.1, &(bearer(ALL) + announced), b"").await;
    assert_eq!(answer.refused(), (413, "MESSAGE_TOO_LARGE"));
    // Nobody knows beforehand how long that is.
    let chunk = [format!("{:x}\r\n", 1_048_577).as_bytes(), &vec![b'x'; 1_048_577], b"\r\n0\r\n\r\n"].concat();
    let chunked = "Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n";
    let answer = send(&server, "POST", EVENTS.1, &(bearer(ALL) + chunked), &chunk).await;
    assert_eq!(answer.refused(), (413, "MESSAGE_TOO_LARGE"));
    // A body that fits, and a message that does not.
    let answer = put(&server, ALL, EVENTS, "text/plain", &vec![b'x'; 1_048_576]).await;
    assert_eq!(answer.refused(), (413, "MESSAGE_TOO_LARGE"));
    server.finish().await;
}

#[tokio::test]
async fn a_body_is_what_it_says() {
    let server = start().await;
    assert_eq!(put(&server, ALL, EVENTS, "text/plain", b"\xff").await.refused(), (422, "ARGUMENT"));
    for body in ["{", "[1,]", "", "1 2", "\"\u{1}\"", &"[".repeat(100_000)] {
        let answer = put(&server, ALL, EVENTS, "application/json", body.as_bytes()).await;
        assert_eq!(answer.refused(), (400, "MALFORMED"));
        let answer = put(&server, ALL, ("POST", "/v1/publish"), "application/json", body.as_bytes()).await;
        assert_eq!(answer.refused(), (400, "MALFORMED"));
    }
    let wrong = put(&server, ALL, ("POST", "/v1/rooms/one/events?urgent=yes"), "text/plain", b"x").await;
    assert_eq!(wrong.refused(), (400, "ARGUMENT"));
    assert_eq!(get(&server, "/v1/rooms/one").await.refused(), (404, "NO_SUCH_ROOM"), "nothing was done");
    server.finish().await;
}

#[tokio::test]
async fn nobody_without_a_key_has_its_body_read() {
    let server = start().await;
    let announced = "Content-Type: text/plain\r\nContent-Length: 1000\r\n";
    let answer = send(&server, "POST", EVENTS.1, announced, b"").await;
    assert_eq!(answer.refused(), (401, "TOKEN"));
    server.finish().await;
}

/// A server that does not run answers nobody: time is paused, so nobody waits for it.
#[tokio::test(start_paused = true)]
async fn questions_that_wait_have_a_bound_and_an_end() {
    let server = Server::builder().shards(1).detached().unwrap();
    let handle = server.handle();
    let room = RoomName::new(b"one").unwrap();
    let query = RoomQuery::new(RoomOrder::Name, 1);
    let begun = tokio::time::Instant::now();
    let mut waiting = Vec::new();
    for _ in 0..64 {
        let (handle, room) = (handle.clone(), room.clone());
        waiting.push(tokio::spawn(async move { handle.room(&room).await }));
    }
    // Until all have asked: the runtime looks at its timers in between.
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
    assert_eq!(handle.rooms(&query).await, Err(ApiError::Busy), "at once");
    assert_eq!(begun.elapsed(), Duration::ZERO);
    for asked in waiting {
        assert_eq!(asked.await.unwrap(), Err(ApiError::Busy), "after its patience");
    }
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
    // Those who have given up still have their places, until somebody answers.
    assert_eq!(handle.rooms(&query).await, Err(ApiError::Busy));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(server.run(async {
        let _stopped = stopped.await;
    }));
    let answered = async {
        loop {
            match handle.rooms(&query).await {
                Err(ApiError::Busy) => tokio::task::yield_now().await,
                answer => return answer,
            }
        }
    };
    assert!(soon(answered, "an answer").await.unwrap().rooms.is_empty());
    stop.send(()).unwrap();
    running.await.unwrap().unwrap();
    assert_eq!(handle.room(&room).await, Err(ApiError::Gone));
}
