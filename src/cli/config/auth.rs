//! The `[[auth.issuer]]` of a file: who signs tokens.
//!
//! ```toml
//! [[auth.issuer]]
//! name = "https://id.example"                 # what tokens say in iss
//! audience = "game"                           # what they say in aud
//! jwks_url = "http://127.0.0.1:8080/jwks.json"   # or jwks_file
//! key = [{ kid = "k1", algorithm = "HS256", secret = "..." }]   # or file
//! ```

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tickwire::auth::{Algorithm, Issuer, Key as SigningKey, Source, Verifier};
use tickwire::grants::Verbs;
use tickwire::name::Pattern;

use super::Config;
use super::key::{Key, key};
use super::layers::Origin;
use super::section::Section;

/// One `[[auth.issuer]]`.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct IssuerFile {
    pub(in crate::cli) name: Option<String>,
    pub(in crate::cli) audience: Option<String>,
    pub(in crate::cli) keys: Vec<KeyFile>,
    jwks_file: Option<PathBuf>,
    jwks_url: Option<String>,
    jwks_ca: Option<PathBuf>,
    at: Origin,
}

/// One of its keys.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct KeyFile {
    pub(in crate::cli) kid: Option<String>,
    pub(in crate::cli) algorithm: Option<Algorithm>,
    pub(in crate::cli) secret: Option<Secret>,
    pub(in crate::cli) file: Option<PathBuf>,
    at: Origin,
}

/// A secret, which is never shown by mistake.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::cli) struct Secret(pub(super) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What an issuer may say beside its keys.
pub(in crate::cli) const ISSUER: &[Key<IssuerFile>] = &[
    key!(IssuerFile: Text "name" name, NewTokens, "What its tokens say in iss. Of several issuers, each needs one."),
    key!(IssuerFile: Text "audience" audience, NewTokens, "What its tokens must say in aud."),
    key!(IssuerFile: File "jwks_file" jwks_file, NewTokens, "A file with its key set."),
    key!(IssuerFile: Url "jwks_url" jwks_url, NewTokens, "Where its key set is fetched, in place of a file."),
    key!(IssuerFile: File "jwks_ca" jwks_ca, NewTokens, "Authorities in PEM that an https jwks_url is trusted by, in place of the public ones."),
];

/// What a key of an issuer says.
pub(in crate::cli) const ISSUER_KEY: &[Key<KeyFile>] = &[
    key!(KeyFile: Text "kid" kid, NewTokens, "Its id. Of several keys, each needs one."),
    key!(KeyFile: Signs "algorithm" algorithm, NewTokens, "What it is for."),
    key!(KeyFile: Hidden "secret" secret, NewTokens, "Of HS256: at least 32 bytes."),
    key!(KeyFile: File "file" file, NewTokens, "A file with the secret, or with the public key in PEM."),
];

/// The largest leeway. 5 minutes: beyond, a token that has expired is as good as one that has not.
pub(super) const MAX_LEEWAY: Duration = Duration::from_secs(300);

/// Reads the issuers.
pub(super) fn read(section: &Section<'_>, config: &mut Config) {
    for section in section.sections("issuer") {
        let mut issuer = IssuerFile { at: section.begins(), ..IssuerFile::default() };
        section.read(ISSUER, &["key"], &mut issuer);
        if issuer.jwks_file.is_some() && issuer.jwks_url.is_some() {
            section.problem("an issuer has a jwks_file or a jwks_url, not both");
        }
        if issuer.jwks_ca.is_some() && issuer.jwks_url.is_none() {
            section.problem("jwks_ca is for a jwks_url");
        }
        issuer.keys = section.sections("key").iter().filter_map(read_key).collect();
        config.issuers.push(issuer);
    }
    if config.issuers.is_empty() && section.is_there() {
        section.problem("tokens need an issuer: write [[auth.issuer]] with a key, a jwks_file or a jwks_url");
    }
}

/// A key, where it is one.
fn read_key(section: &Section<'_>) -> Option<KeyFile> {
    let mut key = KeyFile { at: section.begins(), ..KeyFile::default() };
    if !section.read(ISSUER_KEY, &[], &mut key) {
        return None;
    }
    let said = |name: &str| section.layers.origin(&format!("{}{name}", section.path)).is_some();
    let Some(algorithm) = key.algorithm else {
        if !said("algorithm") {
            section.problem("a key needs its algorithm: HS256, RS256, ES256 or EdDSA");
        }
        return None;
    };
    let wrong = match (&key.secret, &key.file) {
        (Some(_), None) if algorithm != Algorithm::Hs256 => {
            format!("a key for {algorithm} has no secret: write file = \"...\" with the public key in PEM format")
        }
        (Some(secret), None) => match SigningKey::new(key.kid.as_deref(), algorithm, secret.0.as_bytes()) {
            Ok(_) => return Some(key),
            Err(error) => format!("secret: {error}"),
        },
        (None, Some(_)) => return Some(key),
        (None, None) if said("secret") || said("file") => return None,
        _ => "a key has a secret or a file".to_owned(),
    };
    section.problem(&wrong);
    None
}

impl Config {
    /// Whether tokens are verified.
    pub(in crate::cli) const fn has_auth(&self) -> bool {
        !self.issuers.is_empty()
    }

    /// What verifies tokens so; `None` where nobody asks for them. Reads files, and is to be called within a runtime.
    ///
    /// # Errors
    /// Everything that is wrong with keys and files.
    pub(in crate::cli) fn verifier(&self) -> Result<Option<Verifier>, Vec<String>> {
        if self.issuers.is_empty() {
            return Ok(None);
        }
        let mut problems = Vec::new();
        let issuers = self.issuers.iter().map(|issuer| issuer.issuer(&mut problems)).collect();
        if !problems.is_empty() {
            return Err(problems);
        }
        let verifier = Verifier::new(issuers, self.leeway).map_err(|error| vec![format!("[auth]: {error}")])?;
        let verifier = verifier.with_max_token(self.limits.max_token);
        Ok(Some(match &self.anonymous {
            Some(grants) => verifier.with_anonymous(grants.clone()),
            None => verifier,
        }))
    }

    /// Files that verify tokens, and where keys are fetched.
    pub(in crate::cli) fn sources(&self) -> impl Iterator<Item = Source> {
        self.issuers.iter().filter_map(|issuer| issuer.source().ok().flatten())
    }
}

impl IssuerFile {
    fn issuer(&self, problems: &mut Vec<String>) -> Issuer {
        let mut issuer = Issuer::default();
        (issuer.name, issuer.audience) = (self.name.clone(), self.audience.clone());
        issuer.source =
            self.source().map_err(|error| problems.push(format!("{}: {error}", self.at))).unwrap_or_default();
        if self.keys.is_empty() && self.jwks_file.is_none() && self.jwks_url.is_none() {
            problems.push(format!("{}: an issuer needs a key, a jwks_file or a jwks_url", self.at));
        }
        // Verifier::new reads it too, but does not say what is wrong with it.
        if let Some(path) = &self.jwks_file
            && let Err(error) = std::fs::File::open(path)
        {
            problems.push(format!("{}: {} cannot be read: {error}", self.at, path.display()));
        }
        for key in &self.keys {
            match key.read() {
                Ok(read) => issuer.keys.push(read),
                Err(error) => problems.push(format!("{}: {error}", key.at)),
            }
        }
        issuer
    }

    /// Where its key set comes from.
    fn source(&self) -> Result<Option<Source>, String> {
        let url = self.jwks_url.as_deref().and_then(|url| Source::url(url).ok());
        let url = match (url, &self.jwks_ca) {
            (Some(url), Some(path)) => {
                let pem = read_file(path)?;
                Some(url.with_roots(pem).map_err(|error| format!("{}: {error}", path.display()))?)
            }
            (url, _) => url,
        };
        Ok(self.jwks_file.clone().map(Source::File).or(url))
    }
}

impl KeyFile {
    /// The bytes of the key.
    pub(in crate::cli) fn material(&self) -> Result<Vec<u8>, String> {
        match (&self.secret, &self.file) {
            (Some(secret), _) => Ok(secret.0.as_bytes().to_vec()),
            (None, Some(path)) => material(path, self.algorithm.unwrap_or(Algorithm::Hs256)),
            (None, None) => Err("a key has a secret or a file".into()),
        }
    }

    fn read(&self) -> Result<SigningKey, String> {
        let material = self.material()?;
        let algorithm = self.algorithm.unwrap_or(Algorithm::Hs256);
        let place = self.file.as_ref().map(|path| format!("{}: ", path.display())).unwrap_or_default();
        SigningKey::new(self.kid.as_deref(), algorithm, &material).map_err(|error| format!("{place}{error}"))
    }
}

/// Reads the name of an algorithm.
pub(in crate::cli) fn algorithm(name: &str) -> Result<Algorithm, String> {
    Algorithm::named(name).ok_or_else(|| "write HS256, RS256, ES256 or EdDSA".into())
}

/// Reads a key's file. A secret's last line ends where the secret does.
pub(in crate::cli) fn material(path: &Path, algorithm: Algorithm) -> Result<Vec<u8>, String> {
    let mut bytes = read_file(path)?;
    if algorithm == Algorithm::Hs256 && bytes.last() == Some(&b'\n') {
        bytes.pop();
        bytes.pop_if(|last| *last == b'\r');
    }
    Ok(bytes)
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    /// Bytes of keys. 64 KiB: more than any have, and less than a device that does not end.
    const MOST: u64 = 64 * 1024;
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(MOST).read_to_end(&mut bytes));
    read.map_err(|error| format!("{} cannot be read: {error}", path.display())).map(|_| bytes)
}

/// Reads a pattern with its verbs, such as `game/*:join,receive`.
pub(in crate::cli) fn grant(text: &str) -> Result<(Pattern, Verbs), String> {
    let hint = || {
        let names: Vec<&str> = Verbs::NAMES.iter().map(|(name, _)| *name).collect();
        format!(
            "{text:?}: write a pattern and verbs, such as game/*:join,receive; there are {}, and all",
            names.join(", ")
        )
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
    use tickwire::grants::Grants;

    use super::super::parse;
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    #[tokio::test]
    async fn everything_can_be_set() {
        let text = format!(
            "[limits]\nmax_token = 3000\n\
             [auth]\nleeway = '7s'\nquery = true\nanonymous = ['lobby:eu:join,receive', '**:join']\n\
             [[auth.issuer]]\nname = 'a'\naudience = 'game'\nkey = [{{ kid = 'k', algorithm = 'HS256', secret = '{SECRET}' }}]\n\
             [[auth.issuer]]\nname = 'b'\njwks_url = 'http://127.0.0.1:1/x?y=z'\n"
        );
        let config = parse("x.toml", &text).unwrap();
        assert_eq!((config.leeway, config.query, config.issuers.len()), (Duration::from_secs(7), true, 2));
        let anonymous: Vec<_> = config.anonymous.iter().flat_map(Grants::iter).collect();
        assert_eq!(anonymous[0].0.as_str(), "lobby:eu");
        assert_eq!(anonymous[0].1, Verbs::JOIN.with(Verbs::RECEIVE));
        let [a, b] = &config.issuers[..] else { panic!("two") };
        assert_eq!((a.name.as_deref(), a.audience.as_deref(), a.keys.len()), (Some("a"), Some("game"), 1));
        let source = Source::Http { authority: "127.0.0.1:1".into(), path: "/x?y=z".into() };
        assert_eq!((b.keys.len(), b.source()), (0, Ok(Some(source))));
        assert!(!format!("{config:?}").contains(SECRET), "secrets are not shown");
        let long = "x".repeat(3001);
        let verified = config.verifier().unwrap().unwrap().verify(long.as_bytes(), std::time::SystemTime::now());
        assert_eq!(verified.unwrap_err(), tickwire::auth::Rejected::TooLong, "max_token reaches the verifier");
    }

    #[tokio::test]
    async fn files_are_read_and_all_that_is_wrong_is_told() {
        let text = "[auth]\n[[auth.issuer]]\nname = 'a'\njwks_file = '/nowhere/a'\n\
                    key = [{ algorithm = 'ES256', file = '/nowhere/b' }]\n[[auth.issuer]]\nname = 'b'\n";
        let problems = parse("x.toml", text).unwrap().verifier().unwrap_err();
        let [jwks, key, none] = &problems[..] else { panic!("{problems:?}") };
        assert!(jwks.starts_with("x.toml:2: /nowhere/a cannot be read: "), "{jwks}");
        assert!(key.starts_with("x.toml:5: /nowhere/b cannot be read: "), "{key}");
        assert_eq!(none, "x.toml:6: an issuer needs a key, a jwks_file or a jwks_url");
    }
}
