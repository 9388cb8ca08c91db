//! What the queue promises: bounds, wakes, and a session that goes on with another one.

use super::*;
use crate::command::Hold;
use crate::dispatcher::Refusal;
use crate::limits::Limits;
use crate::server::parking::TakeOver;
use crate::wire::Handle;

fn outbox(bytes: usize, frames: usize) -> Outbox {
    let mut limits = Limits::default();
    (limits.outbox_bytes, limits.outbox_frames) = (bytes, frames);
    Outbox::new(&Arc::new(facts(limits)))
}

fn facts(limits: Limits) -> Facts {
    let capabilities = crate::wire::Capabilities::default();
    Facts {
        limits,
        capabilities,
        clock: 1,
        wall: 2,
        hasher: foldhash::fast::RandomState::default(),
        rejections: Arc::default(),
    }
}

fn told(taking: Taking) -> Notices {
    taking.notices.map(|notices| *notices).unwrap_or_default()
}

fn push(outbox: &Outbox, len: usize) -> bool {
    outbox.push(&Bytes::from(vec![0; len])).wakes
}

#[test]
fn bytes_are_charged_until_they_are_written() {
    let outbox = outbox(100, 10);
    let mut queue = VecDeque::new();
    push(&outbox, 60);
    assert!(told(outbox.take(Charge::default(), 0, &mut queue)).ending.is_none());
    queue.clear();
    push(&outbox, 60);
    let slow = told(outbox.take(Charge::default(), 0, &mut queue)).ending;
    assert_eq!(slow.map(|ending| ending.reason), Some(Reason::SLOW));
    assert!(queue.is_empty());
    // Closing absorbs.
    push(&outbox, 1);
    outbox.take(Charge { bytes: 60, frames: 1 }, 0, &mut queue);
    assert!(queue.is_empty());
}

#[test]
fn small_frames_are_bounded_by_their_number() {
    let outbox = outbox(1000, 3);
    for _ in 0..3 {
        push(&outbox, 1);
    }
    let mut queue = VecDeque::new();
    assert!(told(outbox.take(Charge::default(), 0, &mut queue)).ending.is_none());
    push(&outbox, 1);
    assert!(told(outbox.take(Charge::default(), 0, &mut queue)).ending.is_some());
}

#[test]
fn only_the_first_of_a_flush_has_to_wake() {
    let outbox = outbox(100, 10);
    assert_eq!([push(&outbox, 1), push(&outbox, 1)], [true, false]);
    outbox.take(Charge::default(), 0, &mut VecDeque::new());
    assert!(push(&outbox, 1));
}

fn direct(room: u64) -> Direct {
    Direct {
        room: crate::wire::RoomId(room),
        tick: 1,
        from: crate::wire::MemberNumber(2),
        answers: 0,
        payload: Bytes::from_static(b"x"),
        urgent: false,
    }
}

#[test]
fn directs_are_numbered_over_all_rooms() {
    let outbox = outbox(100, 10);
    outbox.push_direct(&direct(7));
    outbox.push_direct(&direct(8));
    let mut queue = VecDeque::new();
    outbox.take(Charge::default(), 0, &mut queue);
    assert_eq!(queue, [&[1, 0, 8, 6, 7, 1, 0, 1, 1, 2, 0, b'x'][..], &[1, 0, 8, 6, 8, 2, 0, 1, 1, 2, 0, b'x']]);
}

#[test]
fn what_nobody_has_looked_at_goes_on_with_the_session() {
    let first = Arc::new(outbox(100, 10));
    let refusal = Refusal {
        request: crate::wire::RequestId(0),
        number: 7,
        reason: Reason::NOT_PUBLISHING,
        joining: None,
        avoidable: true,
    };
    let (reply, _answer) = tokio::sync::oneshot::channel();
    let token = crate::session::Token::new(1, [0; 16]);
    first.refuse(&refusal);
    first.take_over(TakeOver { token, subject: Bytes::new(), reply });
    let (second, _) = first.succeed(0);
    // From then on it goes there at once.
    first.refuse(&refusal);
    let (reply, _answer) = tokio::sync::oneshot::channel();
    first.take_over(TakeOver { token, subject: Bytes::new(), reply });
    let notices = told(second.take(Charge::default(), 0, &mut VecDeque::new()));
    assert_eq!(notices.refusals, [refusal.clone(), refusal]);
    assert_eq!(notices.take_overs.len(), 2);
}

#[test]
fn a_room_that_is_never_joined_again_finds_the_latest_connection_at_once() {
    /// So many that a chain of them would not fit a stack.
    const TIMES: usize = 100_000;
    let first = Arc::new(outbox(100, 10));
    let mut latest = Arc::clone(&first);
    for _ in 0..TIMES {
        latest = latest.succeed(0).0;
    }
    first.push_direct(&direct(7));
    let mut queue = VecDeque::new();
    latest.take(Charge::default(), 0, &mut queue);
    assert_eq!(queue.len(), 1);
    // Only the room and the connection have one still.
    assert_eq!(latest.lock().predecessors.iter().filter(|before| before.strong_count() > 0).count(), 1);
    assert!(latest.lock().predecessors.len() <= 2);
}

#[test]
fn who_waits_to_be_told_is_woken_by_every_chunk_that_is_done() {
    let outbox = outbox(100, 10);
    let (quiet, asking) = (outbox.chunk_sent(Some(1), false), outbox.chunk_sent(Some(2), true));
    assert!(outbox.chunk_done(asking), "it was asked for");
    outbox.await_accepted(true);
    assert_eq!(outbox.take(Charge::default(), 0, &mut VecDeque::new()).oldest, Some(1));
    assert!(outbox.chunk_done(quiet), "what was asked for is told only now");
    assert_eq!(outbox.take(Charge::default(), 0, &mut VecDeque::new()).oldest, None);
}

#[test]
fn a_membership_that_ends_is_told_where_the_session_is() {
    let first = Arc::new(outbox(100, 10));
    let (second, _) = first.succeed(0);
    let hold = Hold { handle: Handle(3), serial: 4 };
    first.released(hold, &Bytes::from_static(b"left"));
    let mut queue = VecDeque::new();
    assert_eq!(told(second.take(Charge::default(), 0, &mut queue)).released, [hold]);
    assert_eq!(queue, [&b"left"[..]]);
}

#[test]
fn whoever_wants_a_session_that_is_over_is_told_so_at_once() {
    let outbox = outbox(100, 10);
    let ask = |outbox: &Outbox| {
        let (reply, mut answer) = tokio::sync::oneshot::channel();
        let token = crate::session::Token::new(1, [0; 16]);
        outbox.take_over(TakeOver { token, subject: Bytes::new(), reply });
        answer.try_recv().map(|_| ())
    };
    use tokio::sync::oneshot::error::TryRecvError::{Closed, Empty};
    assert_eq!(ask(&outbox), Err(Empty), "a session that waits has not looked yet");
    outbox.retire();
    assert_eq!(ask(&outbox), Err(Closed));
}
