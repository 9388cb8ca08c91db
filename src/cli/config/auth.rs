//! The `[auth]` of a file: who signs tokens, and what clients without one may do.
//!
//! ```toml
//! [auth]
//! leeway = "5s"                               # how far clocks may be off
//! query = false                               # take ?token= too
//! anonymous = ["lobby/*:join,receive"]        # what clients without a token may do
//!
//! [[auth.issuer]]
//! name = "https://id.example"                 # what tokens say in iss
//! audience = "game"                           # what they say in aud
//! jwks_url = "https://id.example/jwks.json"   # or jwks_file
//! jwks_ca = "ca.pem"                          # who signs that server's certificate, if no public authority does
//! key = [{ kid = "k1", algorithm = "HS256", secret = "..." }]   # or file
//! ```

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use tickwire::auth::{Algorithm, Issuer, Key, Source, Verifier};
use tickwire::grants::{Grants, Verbs};
use tickwire::name::Pattern;

use super::section::{Section, Value};

/// How clients prove who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Auth {
    pub(in crate::cli) issuers: Vec<IssuerFile>,
    pub(in crate::cli) leeway: Duration,
    pub(in crate::cli) query: bool,
    pub(in crate::cli) anonymous: Option<Grants>,
}

/// One `[[auth.issuer]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct IssuerFile {
    pub(in crate::cli) name: Option<String>,
    pub(in crate::cli) audience: Option<String>,
    pub(in crate::cli) keys: Vec<KeyFile>,
    source: Option<Source>,
}

/// One of its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct KeyFile {
    pub(in crate::cli) kid: Option<String>,
    pub(in crate::cli) algorithm: Algorithm,
    pub(in crate::cli) material: Material,
}

/// The bytes of a key, which are never shown.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::cli) struct Material(pub(in crate::cli) Vec<u8>);

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Material(..)")
    }
}

impl Auth {
    /// What verifies tokens so. To be called within a runtime.
    pub(in crate::cli) fn verifier(&self) -> Result<Verifier, String> {
        let issuers = self.issuers.iter().map(IssuerFile::issuer).collect::<Result<Vec<_>, _>>()?;
        let verifier = Verifier::new(issuers, self.leeway).map_err(|error| format!("[auth]: {error}"))?;
        Ok(match &self.anonymous {
            Some(grants) => verifier.with_anonymous(grants.clone()),
            None => verifier,
        })
    }
}

impl IssuerFile {
    fn issuer(&self) -> Result<Issuer, String> {
        let mut issuer = Issuer::default();
        (issuer.name, issuer.audience) = (self.name.clone(), self.audience.clone());
        issuer.source.clone_from(&self.source);
        for KeyFile { kid, algorithm, material } in &self.keys {
            let key = Key::new(kid.as_deref(), *algorithm, &material.0);
            issuer.keys.push(key.map_err(|error| format!("[auth]: {error}"))?);
        }
        Ok(issuer)
    }
}

/// Reads the section.
pub(super) fn read(section: &Section<'_>) -> Result<Auth, String> {
    section.check_keys(&["leeway", "query", "anonymous", "issuer"])?;
    let issuers = section.sections("issuer")?.iter().map(read_issuer).collect::<Result<Vec<_>, _>>()?;
    if issuers.is_empty() {
        return Err(section.error("tokens need an issuer: write [[auth.issuer]] with a key, a jwks_file or a jwks_url"));
    }
    let leeway = section.get("leeway", |value| match value.duration()? {
        leeway if leeway <= MAX_LEEWAY => Ok(leeway),
        _ => Err("clocks that are off by more than 5m are to be set".into()),
    })?;
    Ok(Auth {
        issuers,
        leeway: leeway.unwrap_or(Verifier::LEEWAY),
        query: section.get("query", Value::bool)?.unwrap_or_default(),
        anonymous: section.get("anonymous", |value| {
            let grants = value.texts()?.into_iter().map(grant).collect::<Result<Vec<_>, _>>()?;
            Grants::new(grants).ok_or_else(|| format!("there are at most {} patterns", Grants::MOST))
        })?,
    })
}

/// The largest leeway. 5 minutes: beyond, a token that has expired is as good as one that has not.
const MAX_LEEWAY: Duration = Duration::from_secs(300);

fn read_issuer(section: &Section<'_>) -> Result<IssuerFile, String> {
    section.check_keys(&["name", "audience", "key", "jwks_file", "jwks_url", "jwks_ca"])?;
    let text = |value: Value<'_>| value.text().map(str::to_owned);
    let file = section.get("jwks_file", |value| value.text().map(|path| Source::File(PathBuf::from(path))))?;
    let url = section.get("jwks_url", |value| Source::url(value.text()?).map_err(|error| error.to_string()))?;
    if file.is_some() && url.is_some() {
        return Err(section.error("an issuer has a jwks_file or a jwks_url, not both"));
    }
    let authorities = section.get("jwks_ca", |value| {
        let path = value.text()?;
        let pem = std::fs::read(path).map_err(|error| format!("{path} cannot be read: {error}"))?;
        let url = url.clone().ok_or("it is for a jwks_url")?;
        url.with_roots(pem).map_err(|error| format!("{path}: {error}"))
    })?;
    let url = authorities.or(url);
    Ok(IssuerFile {
        name: section.get("name", text)?,
        audience: section.get("audience", text)?,
        keys: section.sections("key")?.iter().map(read_key).collect::<Result<_, _>>()?,
        source: file.or(url),
    })
}

fn read_key(section: &Section<'_>) -> Result<KeyFile, String> {
    section.check_keys(&["kid", "algorithm", "secret", "file"])?;
    let algorithm = section.get("algorithm", |value| algorithm(value.text()?))?;
    let algorithm =
        algorithm.ok_or_else(|| section.error("a key needs its algorithm: HS256, RS256, ES256 or EdDSA"))?;
    let secret = section.get("secret", |value| match algorithm {
        Algorithm::Hs256 => value.text().map(|secret| secret.as_bytes().to_vec()),
        _ => Err(format!("a key for {algorithm} is a file with the public key in PEM format")),
    })?;
    let file = section.get("file", |value| material(value.text()?, algorithm))?;
    let ((Some(bytes), None) | (None, Some(bytes))) = (secret, file) else {
        return Err(section.error("a key has a secret or a file"));
    };
    let kid = section.get("kid", |value| value.text().map(str::to_owned))?;
    if let Err(error) = Key::new(kid.as_deref(), algorithm, &bytes) {
        return Err(section.error(&error.to_string()));
    }
    Ok(KeyFile { kid, algorithm, material: Material(bytes) })
}

/// Reads the name of an algorithm.
pub(in crate::cli) fn algorithm(name: &str) -> Result<Algorithm, String> {
    Algorithm::named(name).ok_or_else(|| "write HS256, RS256, ES256 or EdDSA".into())
}

/// Reads a key's file. A secret's last line ends where the secret does.
pub(in crate::cli) fn material(path: &str, algorithm: Algorithm) -> Result<Vec<u8>, String> {
    let mut bytes = std::fs::read(path).map_err(|error| format!("{path} cannot be read: {error}"))?;
    if algorithm == Algorithm::Hs256 && bytes.last() == Some(&b'\n') {
        bytes.pop();
        bytes.pop_if(|last| *last == b'\r');
    }
    Ok(bytes)
}

/// Reads a pattern with its verbs, such as `game/*:join,receive`.
pub(in crate::cli) fn grant(text: &str) -> Result<(Pattern, Verbs), String> {
    let hint = || {
        let names: Vec<&str> = Verbs::NAMES.iter().map(|(name, _)| *name).collect();
        format!("write a pattern and verbs, such as game/*:join,receive; there are {}, and all", names.join(", "))
    };
    // A colon may be in a name.
    let (pattern, verbs) = text.rsplit_once(':').ok_or_else(hint)?;
    let pattern = Pattern::new(pattern).ok_or_else(hint)?;
    let verb = |name: &str| if name == "all" { Some(Verbs::ALL) } else { Verbs::named(name) };
    let verbs = verbs.split(',').map(|name| verb(name.trim())).try_fold(Verbs::NONE, |all, verb| Some(all.with(verb?)));
    Ok((pattern, verbs.ok_or_else(hint)?))
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn everything_can_be_set() {
        let text = format!(
            "[auth]\nleeway = '7s'\nquery = true\nanonymous = ['lobby:eu:join,receive', '**:join']\n\
             [[auth.issuer]]\nname = 'a'\naudience = 'game'\nkey = [{{ kid = 'k', algorithm = 'HS256', secret = '{SECRET}' }}]\n\
             [[auth.issuer]]\nname = 'b'\njwks_url = 'http://127.0.0.1:1/x?y=z'\n"
        );
        let auth = parse("x.toml", &text).unwrap().auth.unwrap();
        assert_eq!((auth.leeway, auth.query, auth.issuers.len()), (Duration::from_secs(7), true, 2));
        let anonymous: Vec<_> = auth.anonymous.iter().flat_map(Grants::iter).collect();
        assert_eq!(anonymous[0].0.as_str(), "lobby:eu");
        assert_eq!(anonymous[0].1, Verbs::JOIN.with(Verbs::RECEIVE));
        let [a, b] = &auth.issuers[..] else { panic!("two") };
        assert_eq!((a.name.as_deref(), a.audience.as_deref(), a.keys.len()), (Some("a"), Some("game"), 1));
        let source = Source::Http { authority: "127.0.0.1:1".into(), path: "/x?y=z".into() };
        assert_eq!((b.keys.len(), b.source.as_ref()), (0, Some(&source)));
        assert!(!format!("{auth:?}").contains(SECRET), "secrets are not shown");
    }

    #[test]
    fn what_is_wrong_is_told() {
        let check = |text: &str, expected: &str| {
            let error = parse("x.toml", text).unwrap_err();
            assert!(error.contains(expected), "{error:?} should contain {expected:?}");
        };
        let issuer = |rest: &str| format!("[auth]\n[[auth.issuer]]\n{rest}");
        check("[auth]", "x.toml:1: tokens need an issuer");
        check("[auth]\nquerry = true", "did you mean `query`?");
        check("[auth]\nleeway = '1h'\n[[auth.issuer]]\njwks_url = 'http://a/'", "more than 5m");
        check("[auth]\nanonymous = 'all'\n[[auth.issuer]]", "anonymous: write a list");
        check("[auth]\nanonymous = ['x:fly']\n[[auth.issuer]]", "such as game/*:join,receive");
        check(&issuer("jwks_url = 'ftp://a/'"), "keys are fetched by https://");
        check(&issuer("jwks_url = 'https://a/'\njwks_ca = '/nowhere/x'"), "cannot be read");
        check(&issuer("jwks_url = 'https://a/'\njwks_ca = 'Cargo.toml'"), "certificates in PEM");
        check(&issuer("jwks_file = 'a'\njwks_ca = 'Cargo.toml'"), "it is for a jwks_url");
        check(&issuer("jwks_url = 'a'"), "write a URL");
        check(&issuer("jwks_url = 'http://a/'\njwks_file = 'b'"), "not both");
        check(&issuer("key = [{ algorithm = 'none', secret = '' }]"), "HS256, RS256, ES256 or EdDSA");
        check(&issuer("key = [{ secret = '' }]"), "a key needs its algorithm");
        check(&issuer("key = [{ algorithm = 'HS256' }]"), "a secret or a file");
        check(&issuer("key = [{ algorithm = 'HS256', secret = 'short' }]"), "at least 32 bytes");
        check(&issuer("key = [{ algorithm = 'ES256', secret = 'x' }]"), "PEM");
        check(&issuer("key = [{ algorithm = 'ES256', file = '/nowhere/x' }]"), "cannot be read");
    }
}
