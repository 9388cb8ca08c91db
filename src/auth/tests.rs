//! What attackers send, row by row, and what is taken.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::grants::Verbs;
use crate::name::RoomName;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const NOW: u64 = 1_900_000_000;

/// The private and the public half of a test key.
fn pem(algorithm: Algorithm) -> (&'static [u8], &'static [u8]) {
    match algorithm {
        Algorithm::Hs256 => (SECRET, SECRET),
        Algorithm::Rs256 => {
            (include_bytes!("../../tests/keys/rsa.pem"), include_bytes!("../../tests/keys/rsa.pub.pem"))
        }
        Algorithm::Es256 => (include_bytes!("../../tests/keys/ec.pem"), include_bytes!("../../tests/keys/ec.pub.pem")),
        Algorithm::EdDsa => (include_bytes!("../../tests/keys/ed.pem"), include_bytes!("../../tests/keys/ed.pub.pem")),
    }
}

fn signing(algorithm: Algorithm, kid: Option<&str>) -> SigningKey {
    SigningKey::new(kid, algorithm, pem(algorithm).0).unwrap()
}

fn verifying(algorithm: Algorithm, kid: Option<&str>) -> Key {
    Key::new(kid, algorithm, pem(algorithm).1).unwrap()
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

/// Takes tokens of "id" for "game" with a key of each algorithm, named after it.
fn verifier() -> Verifier {
    let keys = Algorithm::ALL.map(|algorithm| verifying(algorithm, Some(algorithm.name()))).into();
    let issuer = Issuer { name: Some("id".into()), audience: Some("game".into()), keys, source: None };
    Verifier::new(vec![issuer], Verifier::LEEWAY).unwrap()
}

fn good() -> Value {
    let rooms = json!({ "game/*": ["join", "publish"], "**": ["receive"] });
    json!({ "sub": "ann", "exp": NOW + 60, "iss": "id", "aud": "game", "rooms": rooms })
}

/// `good` with one claim another, or, where that is null, without it.
fn with(name: &str, value: Value) -> Value {
    let mut claims = good();
    let object = claims.as_object_mut().unwrap();
    object.remove(name);
    if !value.is_null() {
        object.insert(name.into(), value);
    }
    claims
}

fn signed(claims: &Value) -> String {
    signing(Algorithm::Hs256, Some("HS256")).sign(claims).unwrap()
}

fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digits = |chunk: &[u8]| {
        let bits = (0..3).fold(0_u32, |bits, place| bits << 8 | u32::from(chunk.get(place).copied().unwrap_or(0)));
        let digit = move |place: usize| DIGITS[(bits >> (18 - 6 * place)) as usize & 63] as char;
        (0..=chunk.len()).map(digit).collect::<String>()
    };
    bytes.chunks(3).map(digits).collect()
}

/// A token of these texts, signed with the secret whatever the header says.
fn raw(header: &str, claims: &str) -> String {
    let message = format!("{}.{}", base64url(header.as_bytes()), base64url(claims.as_bytes()));
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, jsonwebtoken::Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

fn header(alg: &str, kid: &str) -> String {
    json!({ "alg": alg, "kid": kid, "typ": "JWT" }).to_string()
}

fn verdict(token: &str) -> Result<(), Rejected> {
    verifier().verify(token.as_bytes(), now()).map(|_| ())
}

#[test]
fn every_algorithm_is_taken_with_its_own_key() {
    for algorithm in Algorithm::ALL {
        let token = signing(algorithm, Some(algorithm.name())).sign(&good()).unwrap();
        let identified = verifier().verify(token.as_bytes(), now()).unwrap();
        assert_eq!(identified.identity.subject, "ann", "{algorithm}");
        assert_eq!(identified.expires, Some(now() + Duration::from_secs(60) + Verifier::LEEWAY));
        let verbs = |room: &str| identified.identity.grants.verbs(&RoomName::new(room.as_bytes()).unwrap());
        assert_eq!(verbs("game/1"), Verbs::JOIN.with(Verbs::PUBLISH).with(Verbs::RECEIVE));
        assert_eq!(verbs("lobby"), Verbs::RECEIVE);
    }
}

#[test]
fn no_algorithm_is_taken_with_another_ones_key() {
    for signer in Algorithm::ALL {
        for key in Algorithm::ALL.into_iter().filter(|key| *key != signer) {
            let token = signing(signer, Some(key.name())).sign(&good()).unwrap();
            assert_eq!(verdict(&token), Err(Rejected::Algorithm), "{signer} with the key of {key}");
        }
    }
}

#[test]
fn what_attackers_send_is_refused() {
    use Rejected::{
        Audience, Claims, Critical, Expired, Grants, Issuer, Malformed, Missing, NoExpiry, NotYet, Signature, Subject,
        TooLong, UnknownKey,
    };
    let claims = good().to_string();
    let public = pem(Algorithm::Rs256).1;
    let confused = SigningKey::new(Some("RS256"), Algorithm::Hs256, public).unwrap().sign(&good()).unwrap();
    let unsigned =
        |alg: &str| format!("{}.{}.", base64url(header(alg, "HS256").as_bytes()), base64url(claims.as_bytes()));
    let token = signed(&good());
    let (message, signature) = token.rsplit_once('.').unwrap();
    let zeroes = |algorithm: &str, len| {
        format!(
            "{}.{}.{}",
            base64url(header(algorithm, algorithm).as_bytes()),
            base64url(claims.as_bytes()),
            base64url(&vec![0; len])
        )
    };
    let other = SigningKey::new(Some("HS256"), Algorithm::Hs256, b"another secret of 32 bytes or so").unwrap();
    let twice = |name: &str, value: &str| format!("{{{name}:{value},{}", &claims[1..]);
    let huge: serde_json::Map<_, _> = (0..65).map(|room| (format!("r{room}"), json!(["join"]))).collect();
    let hs = header("HS256", "HS256");
    let rows: Vec<(&str, String, Rejected)> = vec![
        ("nothing", String::new(), Missing),
        ("alg none", unsigned("none"), Malformed),
        ("alg None", unsigned("None"), Malformed),
        ("alg nOnE", unsigned("nOnE"), Malformed),
        ("alg with a space before it", raw(&header(" HS256", "HS256"), &claims), Malformed),
        ("alg of another length of the key's family", raw(&header("HS512", "HS256"), &claims), Rejected::Algorithm),
        ("RS256's public key as the secret of HS256", confused, Rejected::Algorithm),
        ("no algorithm", raw(r#"{"kid":"HS256"}"#, &claims), Malformed),
        ("two algorithms", raw(r#"{"alg":"none","alg":"HS256","kid":"HS256"}"#, &claims), Malformed),
        ("no signature", format!("{message}."), Signature),
        ("a signature cut off", token[..token.len() - 4].to_owned(), Signature),
        ("another secret's signature", other.sign(&good()).unwrap(), Signature),
        ("a signature of zeroes, HS256", zeroes("HS256", 32), Signature),
        ("a signature of zeroes, RS256", zeroes("RS256", 256), Signature),
        ("a signature of zeroes, ES256", zeroes("ES256", 64), Signature),
        ("a signature of zeroes, EdDSA", zeroes("EdDSA", 64), Signature),
        ("a signature with padding", format!("{token}="), Signature),
        ("other claims under a signature", raw(&hs, &claims).replacen('.', ".e", 1), Claims),
        ("two parts", message.to_owned(), Malformed),
        ("four parts", format!("{token}.{signature}"), Malformed),
        ("dots", "...".into(), Malformed),
        ("not base64", "a b.c d.e f".into(), Malformed),
        ("not text", "\u{1f642}.\u{0}.\u{7f}".into(), Malformed),
        ("claims that are no object", raw(&hs, "[]"), Claims),
        ("claims that are cut off", raw(&hs, &claims[..claims.len() - 1]), Claims),
        ("something behind the claims", raw(&hs, &format!("{claims}{claims}")), Claims),
        ("claims of deep nesting", raw(&hs, &format!("{{\"x\":{}", "[".repeat(1500))), Claims),
        ("longer than is taken", raw(&hs, &with("pad", "x".repeat(4000).into()).to_string()), TooLong),
        ("no expiry", signed(&with("exp", Value::Null)), NoExpiry),
        ("expired", signed(&with("exp", json!(NOW - 5))), Expired),
        ("expired long ago", signed(&with("exp", json!(0))), Expired),
        ("exp as a text", signed(&with("exp", json!("99999999999"))), Claims),
        ("exp as a list", signed(&with("exp", json!([NOW + 60]))), Claims),
        ("exp as an object", signed(&with("exp", json!({}))), Claims),
        ("exp as true", signed(&with("exp", json!(true))), Claims),
        ("exp as null", raw(&hs, &claims.replace(&(NOW + 60).to_string(), "null")), Claims),
        ("exp before 1970", signed(&with("exp", json!(-1))), Claims),
        ("not valid yet", signed(&with("nbf", json!(NOW + 6))), NotYet),
        ("nbf as a text", signed(&with("nbf", json!("0"))), Claims),
        ("iat as a text", signed(&with("iat", json!("0"))), Claims),
        ("another issuer", signed(&with("iss", json!("other"))), Issuer),
        ("no issuer", signed(&with("iss", Value::Null)), Issuer),
        ("issuers as a list", signed(&with("iss", json!(["id"]))), Claims),
        ("another audience", signed(&with("aud", json!("other"))), Audience),
        ("other audiences", signed(&with("aud", json!(["gam", "games"]))), Audience),
        ("no audience", signed(&with("aud", Value::Null)), Audience),
        ("audience as a number", signed(&with("aud", json!(7))), Claims),
        ("no subject", signed(&with("sub", Value::Null)), Subject),
        ("an empty subject", signed(&with("sub", json!(""))), Subject),
        ("a subject that is too long", signed(&with("sub", json!("x".repeat(257)))), Subject),
        ("subject as a number", signed(&with("sub", json!(1))), Claims),
        ("a token name that is too long", signed(&with("jti", json!("x".repeat(257)))), Claims),
        ("info that is too long", signed(&with("info", json!("x".repeat(257)))), Claims),
        ("the subject twice", raw(&hs, &twice("\"sub\"", "\"root\"")), Claims),
        ("the expiry twice", raw(&hs, &twice("\"exp\"", "99999999999")), Claims),
        ("an unknown claim twice", raw(&hs, &twice("\"x\":1,\"x\"", "2")), Claims),
        ("the subject twice, once escaped", raw(&hs, &twice("\"s\\u0075b\"", "\"root\"")), Claims),
        ("rooms twice", raw(&hs, &twice("\"rooms\"", "{}")), Claims),
        ("65 patterns", signed(&with("rooms", huge.into())), Grants),
        ("a verb that is none", signed(&with("rooms", json!({ "a": ["admin"] }))), Grants),
        ("a pattern that is none", signed(&with("rooms", json!({ "a b": ["join"] }))), Grants),
        ("a pattern twice", raw(&hs, &claims.replace("\"**\"", "\"game/*\"")), Grants),
        ("verbs as a text", signed(&with("rooms", json!({ "a": "join" }))), Claims),
        ("rooms as a list", signed(&with("rooms", json!(["a"]))), Claims),
        ("an unknown kid", raw(&header("HS256", "x"), &claims), UnknownKey),
        ("no kid, with several keys", raw(r#"{"alg":"HS256"}"#, &claims), UnknownKey),
        ("a kid that is a path", raw(&header("HS256", "../../../dev/null"), &claims), UnknownKey),
        ("a kid that is a URL", raw(&header("HS256", "http://127.0.0.1:1/k"), &claims), UnknownKey),
        ("a kid that is SQL", raw(&header("HS256", "' OR 1=1 --"), &claims), UnknownKey),
        ("a kid of another case", raw(&header("HS256", "hs256"), &claims), UnknownKey),
        ("an empty kid", raw(&header("HS256", ""), &claims), UnknownKey),
        ("a kid that is a number", raw(r#"{"alg":"HS256","kid":7}"#, &claims), Malformed),
        ("a key of its own", raw(r#"{"alg":"HS256","kid":"x","jku":"http://127.0.0.1:1/"}"#, &claims), UnknownKey),
        ("something critical", raw(r#"{"alg":"HS256","kid":"HS256","crit":["b64"],"b64":false}"#, &claims), Critical),
    ];
    for (what, token, rejected) in rows {
        assert_eq!(verdict(&token), Err(rejected), "{what}: {token}");
    }
}

#[test]
fn what_differs_from_that_by_little_is_taken() {
    let hs = header("HS256", "HS256");
    let many: serde_json::Map<_, _> = (0..64).map(|room| (format!("r{room}"), json!(["join"]))).collect();
    for (what, token) in [
        ("expired within the leeway", signed(&with("exp", json!(NOW - 4)))),
        ("exp with a fraction", signed(&with("exp", json!(NOW as f64 + 0.5)))),
        ("exp as the largest number", signed(&with("exp", json!(u64::MAX)))),
        ("exp as a larger number", raw(&hs, &good().to_string().replace(&(NOW + 60).to_string(), "1e300"))),
        ("valid from now on, within the leeway", signed(&with("nbf", json!(NOW + 5)))),
        ("several audiences", signed(&with("aud", json!(["x", "game"])))),
        ("an unknown claim", signed(&with("x", json!({ "y": [1] })))),
        ("no rooms", signed(&with("rooms", Value::Null))),
        ("64 patterns", signed(&with("rooms", many.into()))),
        (
            "a key of its own, which nobody looks at",
            raw(r#"{"alg":"HS256","kid":"HS256","jku":"http://x/"}"#, &good().to_string()),
        ),
    ] {
        assert_eq!(verdict(&token), Ok(()), "{what}");
    }
}

#[test]
fn a_token_that_is_cut_off_anywhere_is_refused() {
    let token = signed(&good());
    let verifier = verifier();
    for end in 0..token.len() {
        assert!(verifier.verify(&token.as_bytes()[..end], now()).is_err(), "{end}");
    }
}

#[test]
fn a_key_is_its_issuers() {
    let issuer = |name: &str, secret: &[u8]| Issuer {
        name: Some(name.into()),
        keys: vec![Key::new(Some("k"), Algorithm::Hs256, secret).unwrap()],
        ..Issuer::default()
    };
    let theirs = b"another secret of 32 bytes or so";
    let verifier = Verifier::new(vec![issuer("a", SECRET), issuer("b", theirs)], Verifier::LEEWAY).unwrap();
    let sign = |secret: &[u8], iss: &str| {
        let claims = json!({ "sub": "ann", "exp": NOW + 60, "iss": iss });
        SigningKey::new(Some("k"), Algorithm::Hs256, secret).unwrap().sign(&claims).unwrap()
    };
    let check = |secret: &[u8], iss: &str| verifier.verify(sign(secret, iss).as_bytes(), now()).map(|_| ());
    assert_eq!((check(SECRET, "a"), check(theirs, "b")), (Ok(()), Ok(())));
    // The same kid of another issuer is another key.
    assert_eq!((check(SECRET, "b"), check(theirs, "a")), (Err(Rejected::Signature), Err(Rejected::Signature)));
    assert_eq!(check(SECRET, "c"), Err(Rejected::Issuer));
    let same = Verifier::new(vec![issuer("a", SECRET), issuer("a", theirs)], Verifier::LEEWAY);
    assert_eq!(same.unwrap_err(), BadIssuer::Name);
    let mut twice = issuer("a", SECRET);
    twice.keys.extend(issuer("a", theirs).keys);
    assert_eq!(Verifier::new(vec![twice], Verifier::LEEWAY).unwrap_err(), BadIssuer::KeyId);
    assert_eq!(Verifier::new(vec![Issuer::default()], Verifier::LEEWAY).unwrap_err(), BadIssuer::NoKeys);
    assert_eq!(Verifier::new(Vec::new(), Verifier::LEEWAY).unwrap_err(), BadIssuer::None);
}

#[test]
fn an_only_key_needs_no_id_and_anonymous_clients_need_a_grant() {
    let issuer = Issuer { keys: vec![verifying(Algorithm::EdDsa, None)], ..Issuer::default() };
    let verifier = Verifier::new(vec![issuer], Verifier::LEEWAY).unwrap();
    let token = signing(Algorithm::EdDsa, None).sign(&json!({ "sub": "ann", "exp": NOW + 60 })).unwrap();
    assert!(verifier.verify(token.as_bytes(), now()).is_ok());
    let named = signing(Algorithm::EdDsa, Some("x")).sign(&json!({ "sub": "ann", "exp": NOW + 60 })).unwrap();
    assert_eq!(verifier.verify(named.as_bytes(), now()).unwrap_err(), Rejected::UnknownKey);
    let audience = json!({ "sub": "ann", "exp": NOW + 60, "aud": "somebody else" });
    let audience = signing(Algorithm::EdDsa, None).sign(&audience).unwrap();
    assert_eq!(verifier.verify(audience.as_bytes(), now()).unwrap_err(), Rejected::Audience);
    assert_eq!(verifier.verify(b"", now()).unwrap_err(), Rejected::Missing);
    let open = verifier.with_anonymous(crate::grants::Grants::all());
    let identified = open.verify(b"", now()).unwrap();
    assert!(identified.identity.subject.is_empty() && identified.expires.is_none());
    assert!(open.verify(b"x", now()).is_err(), "a bad token is not none");
}

#[test]
fn keys_that_are_none_are_refused_and_nothing_of_them_is_shown() {
    let bad = |algorithm, material: &[u8]| Key::new(None, algorithm, material).map(|_| ()).unwrap_err();
    assert_eq!(bad(Algorithm::Hs256, &SECRET[1..]), BadKey::ShortSecret);
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
        assert_eq!(bad(algorithm, SECRET), BadKey::Pem(algorithm));
        let others = Algorithm::ALL.into_iter().filter(|other| *other != algorithm);
        others.for_each(|other| assert_eq!(bad(algorithm, pem(other).1), BadKey::Pem(algorithm)));
    }
    let shown = format!("{:?} {:?}", verifying(Algorithm::Hs256, None), signing(Algorithm::Hs256, None));
    assert!(!shown.contains("0123456789") && !shown.contains("48, 49, 50"), "{shown}");
}

/// A key set with the public halves of test keys.
fn key_set(algorithms: &[Algorithm]) -> String {
    let key = |algorithm: &Algorithm| {
        let private = match algorithm {
            Algorithm::Rs256 => jsonwebtoken::EncodingKey::from_rsa_pem(pem(*algorithm).0),
            Algorithm::Es256 => jsonwebtoken::EncodingKey::from_ec_pem(pem(*algorithm).0),
            Algorithm::EdDsa => jsonwebtoken::EncodingKey::from_ed_pem(pem(*algorithm).0),
            Algorithm::Hs256 => Ok(jsonwebtoken::EncodingKey::from_secret(SECRET)),
        };
        let jwk = jsonwebtoken::jwk::Jwk::from_encoding_key(&private.unwrap(), algorithm.of_token()).unwrap();
        let mut jwk = serde_json::to_value(jwk).unwrap();
        jwk["kid"] = algorithm.name().into();
        jwk
    };
    json!({ "keys": algorithms.iter().map(key).collect::<Vec<_>>() }).to_string()
}

#[test]
fn a_key_set_has_keys_for_tokens_and_nothing_else() {
    let set = KeySet::read(key_set(&Algorithm::ALL).as_bytes()).unwrap();
    assert_eq!(set.len(), 3, "secrets do not belong there");
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
        assert_eq!(set.find(Some(algorithm.name())).unwrap().algorithm(), algorithm);
    }
    assert!(set.find(Some("HS256")).is_none() && set.find(None).is_none());
    let changed = |name: &str, value: &str| {
        let mut set: Value = serde_json::from_str(&key_set(&[Algorithm::Rs256])).unwrap();
        set["keys"][0][name] = value.into();
        KeySet::read(set.to_string().as_bytes()).unwrap().len()
    };
    assert_eq!((changed("use", "sig"), changed("use", "enc"), changed("alg", "RS512")), (1, 0, 0));
    assert!(KeySet::read(key_set(&[Algorithm::Rs256, Algorithm::Rs256]).as_bytes()).is_none(), "one id twice");
    assert!(KeySet::read(b"{}").is_none() && KeySet::read(b"").is_none());
}

#[test]
fn keys_are_fetched_from_where_they_may_be() {
    let url = |url: &str| Source::url(url);
    let source = Source::Http { authority: "[::1]:80".into(), path: "/a?b".into() };
    assert_eq!(url("http://[::1]:80/a?b"), Ok(source));
    assert_eq!(url("ftp://id.example/jwks"), Err(BadSource::Scheme));
    assert_eq!(url("file:///etc/passwd"), Err(BadSource::Url));
    assert_eq!(url("/etc/passwd"), Err(BadSource::Url));
    for secret in ["http://ann:hunter2@id.example/", "https://hunter2@id.example/", "http://@id.example/"] {
        assert_eq!(url(secret), Err(BadSource::Url), "{secret}");
    }
    let shown = format!("{:?}", url("http://id.example/keys?token=hunter2"));
    assert_eq!(shown, r#"Ok(Http { authority: "id.example", path: "/keys" })"#);
    assert_eq!(url("http://id.example/@a?b@c").map(|_| ()), Ok(()), "there it is a letter like others");
}

/// A server that answers each request with what `answers` has next, and counts.
async fn serve(answers: Vec<String>) -> (Source, tokio::task::JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let source = Source::url(&format!("http://{}/jwks", listener.local_addr().unwrap())).unwrap();
    let serving = tokio::spawn(async move {
        let mut count = 0;
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 1024];
            let len = stream.read(&mut request).await.unwrap();
            assert!(request[..len].starts_with(b"GET /jwks HTTP/1.1\r\n"));
            stream.write_all(answer.as_bytes()).await.unwrap();
            count += 1;
        }
        count
    });
    (source, serving)
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn by_source(source: Source) -> Verifier {
    let issuer = Issuer { source: Some(source), ..Issuer::default() };
    Verifier::new(vec![issuer], Verifier::LEEWAY).unwrap()
}

fn token(algorithm: Algorithm) -> String {
    signing(algorithm, Some(algorithm.name())).sign(&json!({ "sub": "ann", "exp": NOW + 60 })).unwrap()
}

#[tokio::test]
async fn an_unknown_key_is_fetched_once_a_minute_and_a_failure_keeps_the_old_ones() {
    // The first fetch has one key, the second fails, the third has another key.
    let answers = vec![
        ok(&key_set(&[Algorithm::EdDsa])),
        "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".into(),
        ok(&key_set(&[Algorithm::Es256])),
    ];
    let (source, serving) = serve(answers).await;
    let verifier = by_source(source);
    let (ed, es) = (token(Algorithm::EdDsa), token(Algorithm::Es256));
    let verify = async |token: &str| verifier.verify_fetching(token.as_bytes(), now()).await.map(|_| ());
    assert_eq!(verify(&ed).await, Ok(()));
    // Within the minute nothing is asked, however often.
    for _ in 0..100 {
        assert_eq!(verify(&es).await, Err(Rejected::UnknownKey));
    }
    assert!(!serving.is_finished());
    tokio::time::pause();
    tokio::time::advance(source::PAUSE).await;
    tokio::time::resume();
    assert_eq!(verify(&es).await, Err(Rejected::KeysMissing), "the second fetch fails");
    assert_eq!(verify(&ed).await, Ok(()), "the old keys stay");
    assert_eq!(verify(&es).await, Err(Rejected::KeysMissing), "nobody asks again at once");
    tokio::time::pause();
    tokio::time::advance(source::RETRY).await;
    tokio::time::resume();
    assert_eq!(verify(&es).await, Ok(()));
    assert_eq!(verify(&ed).await, Err(Rejected::UnknownKey), "what was withdrawn is gone");
    assert_eq!(serving.await.unwrap(), 3);
}

#[tokio::test]
async fn another_verifier_goes_on_with_keys_that_were_fetched() {
    let (source, server) = serve(vec![ok(&key_set(&[Algorithm::Es256]))]).await;
    let (before, token) = (by_source(source.clone()), token(Algorithm::Es256));
    before.verify_fetching(token.as_bytes(), now()).await.unwrap();
    // It has given its only answer.
    server.await.unwrap();
    let after = by_source(source.clone());
    assert_eq!(after.verify(token.as_bytes(), now()).unwrap_err(), Rejected::KeysMissing);
    assert!(after.with_keys_of(&before).verify(token.as_bytes(), now()).is_ok());
    // Not those of another place.
    let elsewhere = by_source(Source::url("http://127.0.0.1:1/jwks").unwrap()).with_keys_of(&before);
    assert_eq!(elsewhere.verify(token.as_bytes(), now()).unwrap_err(), Rejected::KeysMissing);
}

#[test]
fn a_token_has_at_most_as_many_bytes_as_the_server_says() {
    let token = signed(&good());
    let verdict = |most| verifier().with_max_token(most).verify(token.as_bytes(), now()).map(drop);
    assert_eq!(verdict(token.len()), Ok(()));
    assert_eq!(verdict(token.len() - 1), Err(Rejected::TooLong));
}

#[tokio::test]
async fn many_who_wait_for_a_key_wait_for_one_fetch() {
    let (source, serving) = serve(vec![ok(&key_set(&[Algorithm::EdDsa]))]).await;
    let verifier = by_source(source);
    let ed = token(Algorithm::EdDsa);
    let waiting = (0..50).map(|_| verifier.verify_fetching(ed.as_bytes(), now()));
    for verified in futures_util::future::join_all(waiting).await {
        assert!(verified.is_ok());
    }
    assert_eq!(serving.await.unwrap(), 1);
}

#[tokio::test]
async fn answers_that_are_no_key_sets_are_no_keys() {
    let answers =
        ["", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 302 Found\r\nLocation: http://x/\r\n\r\n"];
    for answer in answers.map(str::to_owned).into_iter().chain([ok(&" ".repeat(300 * 1024))]) {
        let (source, _serving) = serve(vec![answer]).await;
        assert!(source.fetch().await.is_none());
    }
    assert!(Source::File("/nowhere/keys".into()).fetch().await.is_none());
    let nowhere = Issuer { source: Some(Source::File("/nowhere/keys".into())), ..Issuer::default() };
    assert_eq!(Verifier::new(vec![nowhere], Verifier::LEEWAY).unwrap_err(), BadIssuer::File("/nowhere/keys".into()));
}

#[tokio::test]
async fn a_server_of_keys_that_is_down_makes_nobody_a_stranger() {
    // Nobody listens there any more.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let source = Source::url(&format!("http://{}/jwks", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    let verifier = by_source(source);
    let verdict = verifier.verify_fetching(token(Algorithm::EdDsa).as_bytes(), now()).await.map(|_| ());
    assert_eq!(verdict, Err(Rejected::KeysMissing));
    assert_eq!(Rejected::KeysMissing.reason().advice(), crate::wire::Advice::Later);
    // What is wrong whatever the key is stays wrong.
    assert_eq!(verifier.verify_fetching(b"a.b.c", now()).await.map(|_| ()), Err(Rejected::Malformed));
}

#[test]
fn a_token_is_as_old_as_its_issuers_clock_allows() {
    let issued = |iat: u64| verifier().verify(signed(&with("iat", json!(iat))).as_bytes(), now()).unwrap().issued;
    assert_eq!(issued(NOW + 5), Some(now()));
    assert_eq!(issued(NOW), Some(now() - Verifier::LEEWAY));
}

#[cfg(feature = "tls")]
mod https {
    use std::sync::Arc;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer as Authority, KeyPair};
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    use tokio_rustls::TlsAcceptor;

    use super::*;

    /// A server with the keys of EdDSA for everyone who shakes hands, and the authority behind its certificate.
    async fn serve(name: &str) -> (u16, String) {
        let authority_key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&authority_key).unwrap();
        let key = KeyPair::generate().unwrap();
        let signed = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = signed.signed_by(&key, &Authority::from_params(&params, &authority_key)).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = rustls::ServerConfig::builder_with_provider(crate::tls::provider());
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let config = config.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = TlsAcceptor::from(Arc::new(config.clone())).accept(stream).await else { continue };
                let mut request = [0; 1024];
                let _len = stream.read(&mut request).await.unwrap();
                stream.write_all(ok(&key_set(&[Algorithm::EdDsa])).as_bytes()).await.unwrap();
            }
        });
        (port, authority.pem())
    }

    #[tokio::test]
    async fn keys_come_by_https_from_whom_the_operator_trusts() {
        let (port, authority) = serve("localhost").await;
        let source = Source::url(&format!("https://localhost:{port}/jwks?x")).unwrap();
        assert!(source.fetch().await.is_none(), "no public authority has signed it");
        let (_, other) = serve("localhost").await;
        assert!(source.clone().with_roots(other).unwrap().fetch().await.is_none(), "nor has another one");
        let source = source.with_roots(authority.clone()).unwrap();
        assert_eq!(source.fetch().await.map(|keys| keys.len()), Some(1));
        let verifier = by_source(source);
        let token = token(Algorithm::EdDsa);
        assert!(verifier.verify_fetching(token.as_bytes(), now()).await.is_ok());
        // By an address that the certificate does not name.
        let source = Source::url(&format!("https://127.0.0.1:{port}/jwks")).unwrap();
        assert!(source.with_roots(authority).unwrap().fetch().await.is_none());
    }

    #[tokio::test]
    async fn a_server_that_keeps_silent_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let source = Source::url(&format!("https://{}/", listener.local_addr().unwrap())).unwrap();
        tokio::time::pause();
        let (fetched, stream) = tokio::join!(source.fetch(), listener.accept());
        assert!(fetched.is_none() && stream.is_ok());
    }

    #[test]
    fn authorities_are_for_https() {
        let url = |url: &str| Source::url(url).unwrap();
        assert_eq!(url("https://id.example/").with_roots("no PEM"), Err(BadSource::Roots));
        let own = rcgen::generate_simple_self_signed(["x".to_owned()]).unwrap().cert.pem();
        assert!(url("https://id.example/").with_roots(own.clone()).is_ok());
        assert_eq!(url("http://id.example/").with_roots(own), Err(BadSource::Roots));
    }
}
