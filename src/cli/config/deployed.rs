//! The files in `deploy/`: they can be read, and say of defaults what these are.

use tickwire::class::RoomClass;
use tickwire::limits::Limits;

use super::parse;

const PACKAGE: &str = include_str!("../../../deploy/tickwire.toml");

#[test]
fn what_is_deployed_can_be_read() {
    let package = parse("tickwire.toml", PACKAGE).unwrap();
    assert_eq!((package.has_auth(), package.certificate(), package.classes.len()), (false, None, 0));
    assert!(package.websocket.is_some_and(|addr| addr.ip().is_loopback()), "it starts without keys");
    // Defaults are as they are said, and examples can be used: without their #, all keys are known.
    let whole: String = PACKAGE.lines().map(|line| format!("{}\n", uncomment(line))).collect();
    let all = parse("tickwire.toml", &whole).unwrap();
    assert_eq!((&all.limits, all.tick), (&Limits::default(), RoomClass::default().period));
    assert_eq!((all.classes.len(), all.issuers.len()), (1, 1));
    let image = parse("tickwire.toml", include_str!("../../../deploy/docker/tickwire.toml")).unwrap_err();
    assert!(image.0.iter().all(|problem| problem.contains("put keys under")), "it starts with keys only: {image}");
}

/// A line whose # is in front of a key or a section, and of no sentence.
fn uncomment(line: &str) -> &str {
    let Some(rest) = line.strip_prefix('#') else { return line };
    if rest.starts_with(' ') { line } else { rest }
}
