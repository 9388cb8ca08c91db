//! A session that was resumed, in its rooms (PROTOCOL 12.2).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tickwire::class::{HistoryBounds, RoomClass, RoomClasses};
use tickwire::command::{Command, JoinCommand, SessionId};
use tickwire::dispatcher::{Dispatcher, DispatcherConfig};
use tickwire::limits::Limits;
use tickwire::name::RoomName;
use tickwire::rights::{Authorise, Rights};
use tickwire::time::Time;
use tickwire::wire::control::{Command as Told, Mode};
use tickwire::wire::{Control, Handle, Header, MemberNumber, Reason, RequestId};

use super::Desk;

/// A command of session 1 over another connection, whose answers go to 11.
fn ask_again(desk: &mut Desk, command: Command) {
    let now = Time::from_micros(desk.now * 1000);
    desk.dispatcher.handle_command(SessionId(1), &11, command, now, &mut desk.recorder);
}

fn join_again() -> Command {
    let join = JoinCommand::new(RequestId(5), Handle(1), RoomName::new(b"room").unwrap(), Mode::BOTH);
    Command::Join(Box::new(JoinCommand { returning: true, ..join }))
}

fn away(desk: &mut Desk) {
    desk.dispatcher.handle_away(SessionId(1), Time::from_micros(desk.now * 1000));
}

#[test]
fn a_member_that_comes_back_keeps_its_number_and_is_shown() {
    let mut desk = Desk::new();
    desk.run("1 join, 2 join, 1 set k0 a, tick");
    away(&mut desk);
    desk.run("tick");
    desk.skip();
    ask_again(&mut desk, join_again());
    desk.run("2 say b, tick");
    desk.check(
        11,
        &[
            "joined r5 h1 #1 me 1 @2 Fresh",
            r#"snapshot #1 @2 t2: 1k0="a""#,
            r#"presence #1 @3 t3 more: 1 here """#,
            r#"events #1 @3 t3: 2="b""#,
        ],
    );
    desk.check(1, &[]);
}

#[test]
fn pages_come_over_the_connection_that_asked() {
    let mut desk = Desk::new();
    desk.run("1 join, 2 join, tick");
    away(&mut desk);
    desk.run("tick");
    desk.skip();
    let (request, handle, after) = (RequestId(9), Handle(1), MemberNumber(0));
    ask_again(&mut desk, Command::Members { request, handle, after });
    let [frame] = &desk.recorder.take(11)[..] else { panic!("a page and nothing else") };
    let control = Control::decode(&frame[Header::LEN..]).unwrap();
    assert_eq!(control.request, request);
    let Told::Page(page) = control.command else { panic!("{control:?}") };
    // Member 1 is here, then away; member 2 is here.
    assert_eq!((page.records, page.next.0), (&[2, 1, 1, 0, 1, 1, 2, 2, 2, 1, 0][..], 0));
    desk.check(1, &[]);
}

#[test]
fn who_may_not_come_back_has_left() {
    let allowed = Arc::new(AtomicBool::new(true));
    let (mut classes, asked) = (RoomClasses::default(), Arc::clone(&allowed));
    let mut class = RoomClass::default();
    class.history = HistoryBounds::NONE;
    classes.default = class;
    let mut config = DispatcherConfig::new(Limits::default(), classes, 1);
    config.authorise = Authorise::new(move |_| match asked.load(Ordering::Relaxed) {
        true => Ok(Rights::ALL),
        false => Err(Reason::NOT_ALLOWED),
    });
    let mut desk = Desk::new();
    desk.dispatcher = Dispatcher::new(config);
    desk.run("1 join, 2 join, 1 set k0 a, tick");
    away(&mut desk);
    desk.run("tick");
    desk.skip();
    allowed.store(false, Ordering::Relaxed);
    ask_again(&mut desk, join_again());
    desk.check(11, &["refused r5 240"]);
    desk.run("tick");
    desk.check(2, &[r#"values #1 @3 t3: 1k0="""#, "presence #1 @3 t3: 1 left 240"]);
    allowed.store(true, Ordering::Relaxed);
    desk.run("1 join");
    assert_eq!(desk.seen(1)[0].to_string(), "joined r2 h1 #1 me 3 @3 Fresh");
}
