//! Tokens: what anybody may send, claims in any shape under a right signature, key sets.
//!
//! A token counts only if a naive reader of its claims agrees, and never with a byte changed.

#![no_main]

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tickwire::auth::{Algorithm, Claims, Issuer, Key, KeySet, SigningKey, Verifier, inspect};
use tickwire::grants::Grants;
use tickwire::name::RoomName;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const NOW: u64 = 1_900_000_000;

fn keys() -> &'static (Verifier, SigningKey) {
    static KEYS: OnceLock<(Verifier, SigningKey)> = OnceLock::new();
    KEYS.get_or_init(|| {
        let mut issuer = Issuer::default();
        (issuer.name, issuer.audience) = (Some("id".into()), Some("game".into()));
        issuer.keys = vec![Key::new(Some("k"), Algorithm::Hs256, SECRET).expect("a secret")];
        let verifier = Verifier::new(vec![issuer], Duration::ZERO).expect("an issuer");
        (verifier, SigningKey::new(Some("k"), Algorithm::Hs256, SECRET).expect("a secret"))
    })
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = data.split_first() else { return };
    match first % 4 {
        0 => {
            // Nobody guesses a signature.
            assert!(keys().0.verify(rest, now()).is_err());
            let _ = inspect(rest);
        }
        1 => claims(rest),
        2 => changed(rest),
        _ => {
            if let Some(set) = KeySet::read(rest) {
                assert!(set.len() <= KeySet::MOST && set.find(Some("no such key")).is_none());
            }
        }
    }
});

/// Claims of these bytes: read strictly, they are what a naive reader reads; and the verdict is the same.
fn claims(bytes: &[u8]) {
    // Whether a text in a claim that nobody reads is UTF-8 is looked at by nobody either.
    if std::str::from_utf8(bytes).is_err() {
        return;
    }
    let naive: Result<Value, _> = serde_json::from_slice(bytes);
    let strict: Result<Claims, _> = serde_json::from_slice(bytes);
    let Ok(naive) = naive else {
        assert!(strict.is_err(), "what is no JSON is no claims");
        return;
    };
    let (verifier, key) = keys();
    let Ok(token) = key.sign(&naive) else { return };
    let verdict = verifier.verify(token.as_bytes(), now());
    if let Ok(strict) = &strict {
        assert_eq!(strict.sub.as_deref(), naive.get("sub").and_then(Value::as_str));
        assert_eq!(strict.iss.as_deref(), naive.get("iss").and_then(Value::as_str));
        assert_eq!(strict.jti.as_deref(), naive.get("jti").and_then(Value::as_str));
        assert_eq!(strict.exp.is_some(), naive.get("exp").is_some_and(Value::is_number));
    }
    let Ok(identified) = verdict else { return };
    let number = |name: &str| naive.get(name).and_then(Value::as_f64);
    let subject = naive.get("sub").and_then(Value::as_str).expect("a subject");
    assert_eq!(identified.identity.subject, subject);
    assert!((1..=256).contains(&subject.len()));
    assert!(number("exp").expect("an expiry") > NOW as f64 && number("nbf").is_none_or(|nbf| nbf < NOW as f64 + 1.0));
    assert_eq!(naive.get("iss").and_then(Value::as_str), Some("id"));
    let audience = naive.get("aud").expect("an audience");
    let listed = audience.as_array().is_some_and(|list| list.iter().any(|one| one == "game"));
    assert!(audience == "game" || listed);
    let rooms = naive.get("rooms").and_then(Value::as_object);
    assert!(identified.identity.grants.iter().count() <= Grants::MOST);
    assert_eq!(identified.identity.grants.iter().count(), rooms.map_or(0, |rooms| rooms.len()));
    for room in ["a", "game/1", "lobby"] {
        let room = RoomName::new(room.as_bytes()).expect("a name");
        let verbs = identified.identity.grants.verbs(&room);
        let said = rooms.into_iter().flatten().flat_map(|(_, verbs)| verbs.as_array().into_iter().flatten());
        let said: Vec<&str> = said.filter_map(Value::as_str).collect();
        assert!(verbs.names().all(|verb| said.contains(&verb)), "nothing that was not granted");
    }
}

/// A good token with a byte changed, or cut off.
fn changed(bytes: &[u8]) {
    let &[place, high, byte, ref rest @ ..] = bytes else { return };
    let (verifier, key) = keys();
    let pad = String::from_utf8_lossy(rest.get(..64.min(rest.len())).unwrap_or_default()).into_owned();
    let claims = serde_json::json!({ "sub": "ann", "exp": NOW + 60, "iss": "id", "aud": "game", "x": pad });
    let good = key.sign(&claims).expect("it signs");
    assert!(verifier.verify(good.as_bytes(), now()).is_ok());
    let mut token = good.clone().into_bytes();
    let place = usize::from(u16::from_be_bytes([high, place])) % token.len();
    if byte == 0 {
        token.truncate(place);
    } else {
        token[place] = byte;
    }
    assert_eq!(verifier.verify(&token, now()).is_ok(), token == good.as_bytes());
}
