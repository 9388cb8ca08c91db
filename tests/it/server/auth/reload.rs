//! Keys that come and go while a server runs.

use tickwire::server::Reload;
use tickwire::wire::Reason;
use tickwire::wire::control::Token;

use super::support::ending;
use super::*;

const OTHER: &[u8] = b"abcdef0123456789abcdef0123456789";

fn verifier_of(secret: &[u8]) -> Verifier {
    let mut issuer = Issuer::default();
    issuer.keys = vec![Key::new(None, Algorithm::Hs256, secret).unwrap()];
    Verifier::new(vec![issuer], Duration::ZERO).unwrap()
}

fn token_of(secret: &[u8], subject: &str) -> String {
    let claims = json!({ "sub": subject, "exp": now() + 3600, "rooms": everything() });
    SigningKey::new(None, Algorithm::Hs256, secret).unwrap().sign(&claims).unwrap()
}

/// HELLO was request 1, and its token does not count.
async fn check_refused(peer: &mut Peer) {
    let expected = hear::Ended { request: 1, ..ending(peer.transport, Reason::TOKEN) };
    assert_eq!(peer.ended().await, expected);
}

fn renew(request: u64, token: &str) -> Vec<u8> {
    control(request, Command::Token(Token { token: token.as_bytes(), extensions: Extensions::NONE }))
}

#[tokio::test]
async fn new_keys_count_for_every_token_that_comes_and_sessions_go_on() {
    for transport in BOTH {
        let server = start().await;
        let (old, new) = (token_of(SECRET, "ann"), token_of(OTHER, "ann"));
        let (mut peer, welcome) = come(&server, transport, &old).await;
        peer.send(&join("a", Mode::BOTH, None)).await;
        peer.joining().await;
        server.handle.reload(Reload::new().identify(verifier_of(OTHER))).await.unwrap();
        peer.send(&say::event(1, b"still here")).await;
        peer.event(b"still here").await;
        // It cannot renew with a token of the key that is gone, and can with one of the new.
        peer.send(&renew(5, &old)).await;
        assert_eq!(peer.refused().await, (5, 0, Reason::TOKEN));
        peer.send(&renew(6, &new)).await;
        let done = peer.control().await;
        assert!(matches!(command(&done), Command::Done(_)), "{done:?}");
        // Nor can anybody come, or come back, with the old one.
        let mut stranger = Peer::preamble(&server, transport).await;
        stranger.send(&hello(Some(&old), None)).await;
        check_refused(&mut stranger).await;
        drop(peer);
        let mut back = Peer::preamble(&server, transport).await;
        back.send(&hello(Some(&old), Some(&welcome.resume))).await;
        check_refused(&mut back).await;
        let mut back = Peer::preamble(&server, transport).await;
        back.send(&hello(Some(&new), Some(&welcome.resume))).await;
        let welcome = welcomed(&mut back).await;
        assert!(welcome.resumed && welcome.subject == "ann");
    }
}

#[tokio::test]
async fn a_server_without_keys_can_get_some() {
    for transport in BOTH {
        let server = TestServer::start(limits(|_| {})).await;
        let (mut before, _) = Peer::joined(&server, transport, "a").await;
        server.handle.reload(Reload::new().identify(verifier())).await.unwrap();
        before.send(&say::event(1, b"still here")).await;
        before.event(b"still here").await;
        let mut stranger = Peer::preamble(&server, transport).await;
        stranger.send(&say::hello()).await;
        check_refused(&mut stranger).await;
        let (mut ann, welcome) = come(&server, transport, &token("ann", everything())).await;
        assert_eq!(welcome.subject, "ann");
        // WELCOME has said that tokens are taken.
        ann.send(&renew(5, &token("ann", everything()))).await;
        let done = ann.control().await;
        assert!(matches!(command(&done), Command::Done(_)), "{done:?}");
        // A session from before has no token to renew, and may do what it did.
        before.join(2, Mode::BOTH, "b").await;
    }
}
