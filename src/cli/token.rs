//! `tickwire token`: makes tokens, shows them, and says whether a server would take them.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use tickwire::auth::{Algorithm, Claims, SigningKey, inspect};
use tickwire::grants::{Grants, Verbs};
use tickwire::name::{Pattern, RoomName};

use super::config::{Config, Problems, Sources, auth};
use super::{Failure, output, run_on_one_thread, units};

/// What to do with a token.
#[derive(Debug, Args)]
pub(crate) struct TokenArguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a token
    Create(CreateArguments),
    /// Show what a token says, without verifying it
    Inspect(InspectArguments),
    /// Verify a token as a server with this configuration would; exit status 1 where it is not taken
    Check(CheckArguments),
}

/// What a token is to say, and who signs it.
#[derive(Debug, Args)]
struct CreateArguments {
    /// The subject: who it is for
    #[arg(long)]
    sub: String,
    /// What it allows in rooms: a pattern and verbs, such as "game/*:join,publish,receive" or "**:all"
    #[arg(long = "room", value_name = "PATTERN:VERBS", value_parser = auth::grant)]
    rooms: Vec<(Pattern, Verbs)>,
    /// How long it is valid
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = units::duration)]
    expires: Duration,
    /// What is shown of the subject, which its client cannot change
    #[arg(long)]
    info: Option<String>,
    /// Its name, by which it can be revoked alone
    #[arg(long)]
    jti: Option<String>,
    /// Who makes it [default: the configuration's]
    #[arg(long)]
    iss: Option<String>,
    /// For whom it is [default: the configuration's]
    #[arg(long)]
    aud: Option<String>,
    /// A configuration, whose first key with a secret signs, or the one that --kid names
    #[arg(long, value_name = "FILE", required_unless_present = "key", conflicts_with = "key")]
    config: Option<PathBuf>,
    /// A file with the key that signs: a private key in PEM format, or a secret
    #[arg(long, value_name = "FILE", requires = "algorithm")]
    key: Option<String>,
    /// What the key is for: HS256, RS256, ES256 or EdDSA
    #[arg(long, value_name = "NAME", requires = "key", value_parser = auth::algorithm)]
    algorithm: Option<Algorithm>,
    /// The key's id
    #[arg(long)]
    kid: Option<String>,
    /// Print a JSON object with the token and its claims
    #[arg(long)]
    json: bool,
}

/// Which token to show.
#[derive(Debug, Args)]
struct InspectArguments {
    /// The token; - for standard input [default: TICKWIRE_TOKEN]
    token: Option<String>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Which token to verify, and how.
#[derive(Debug, Args)]
struct CheckArguments {
    /// The token; - for standard input [default: TICKWIRE_TOKEN]
    token: Option<String>,
    /// The server's configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Say what the token allows in this room
    #[arg(long)]
    room: Option<String>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Does it.
pub(crate) fn run(arguments: TokenArguments) -> Result<(), Failure> {
    match arguments.command {
        Command::Create(arguments) => create(&arguments),
        Command::Inspect(arguments) => show(&arguments),
        Command::Check(arguments) => run_on_one_thread(check(arguments)),
    }
}

fn create(arguments: &CreateArguments) -> Result<(), Failure> {
    let (token, claims) = make(arguments)?;
    let text = if arguments.json { json!({ "token": token, "claims": claims }).to_string() } else { token };
    writeln!(io::stdout(), "{text}")?;
    Ok(())
}

/// A token, and what it says.
fn make(arguments: &CreateArguments) -> Result<(String, Value), Failure> {
    let (key, iss, aud) = signing_key(arguments)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut rooms = Map::new();
    for (pattern, verbs) in &arguments.rooms {
        rooms.insert(pattern.as_str().to_owned(), verbs.names().collect());
    }
    if rooms.len() > Grants::MOST || rooms.len() < arguments.rooms.len() {
        return Err(Failure::Usage(format!("--room: at most {} patterns, each of them once", Grants::MOST)));
    }
    let mut claims = Map::new();
    let mut put = |name: &str, value: Option<Value>| value.map(|value| claims.insert(name.to_owned(), value));
    put("sub", Some(arguments.sub.as_str().into()));
    put("iat", Some(now.into()));
    put("exp", Some(now.saturating_add(arguments.expires.as_secs()).into()));
    put("iss", iss.map(Value::from));
    put("aud", aud.map(Value::from));
    put("jti", arguments.jti.as_deref().map(Value::from));
    put("info", arguments.info.as_deref().map(Value::from));
    put("rooms", Some(rooms.into()));
    let claims = Value::Object(claims);
    let token = key.sign(&claims).map_err(|error| Failure::Usage(error.to_string()))?;
    Ok((token, claims))
}

/// The key that signs, and what the token says of its issuer and audience.
fn signing_key(arguments: &CreateArguments) -> Result<(SigningKey, Option<String>, Option<String>), Failure> {
    let usage = |error: String| Failure::Usage(error);
    let (iss, aud) = (arguments.iss.clone(), arguments.aud.clone());
    if let (Some(path), Some(algorithm)) = (&arguments.key, arguments.algorithm) {
        let material = auth::material(Path::new(path), algorithm).map_err(usage)?;
        let key = SigningKey::new(arguments.kid.as_deref(), algorithm, &material);
        return Ok((key.map_err(|error| Failure::Usage(format!("{path}: {error}")))?, iss, aud));
    }
    let auth = configured(arguments.config.clone().unwrap_or_default())?;
    let named = |kid: &Option<String>| arguments.kid.is_none() || *kid == arguments.kid;
    let keys = auth.issuers.iter().flat_map(|issuer| issuer.keys.iter().map(move |key| (issuer, key)));
    let mut signing = keys.filter(|(_, key)| key.algorithm == Some(Algorithm::Hs256) && named(&key.kid));
    let (issuer, key) = signing.next().ok_or_else(|| {
        Failure::Usage("the configuration has no such key with a secret: name a private key with --key".into())
    })?;
    let material = key.material().map_err(usage)?;
    let read = SigningKey::new(key.kid.as_deref(), Algorithm::Hs256, &material);
    let read = read.map_err(|error| Failure::Usage(error.to_string()))?;
    Ok((read, iss.or_else(|| issuer.name.clone()), aud.or_else(|| issuer.audience.clone())))
}

/// A configuration with issuers: only what its file says, whatever the environment does.
fn configured(path: PathBuf) -> Result<Config, Failure> {
    let config = Config::load(&Sources::of_file(path)).map_err(|problems| Failure::Usage(problems.to_string()))?;
    if config.has_auth() { Ok(config) } else { Err(Failure::Usage("the configuration has no [auth]".into())) }
}

fn show(arguments: &InspectArguments) -> Result<(), Failure> {
    let token = given(arguments.token.as_deref())?;
    let inspected = inspect(token.as_bytes()).map_err(|error| Failure::Runtime(error.to_string()))?;
    let mut out = io::stdout().lock();
    if arguments.json {
        let claims = object(&inspected.claims);
        let shown = json!({
            "verified": false, "algorithm": inspected.algorithm, "kid": inspected.key_id, "claims": claims,
        });
        writeln!(out, "{shown}")?;
        return Ok(());
    }
    writeln!(out, "not verified: anybody can have written this")?;
    line(&mut out, "algorithm", &inspected.algorithm)?;
    if let Some(kid) = &inspected.key_id {
        line(&mut out, "kid", &output::escaped(kid.as_bytes()))?;
    }
    print_claims(&mut out, &inspected.claims)
}

async fn check(arguments: CheckArguments) -> Result<(), Failure> {
    let token = given(arguments.token.as_deref())?;
    let room = arguments.room.as_deref().map(|room| {
        RoomName::new(room.as_bytes()).ok_or_else(|| Failure::Usage("--room: this is not a room name".into()))
    });
    let room = room.transpose()?;
    let verifier = configured(arguments.config)?.verifier();
    let verifier = verifier.map_err(|problems| Failure::Usage(Problems(problems).to_string()))?;
    let verifier = verifier.ok_or_else(|| Failure::Usage("the configuration has no [auth]".into()))?;
    let verified = verifier.verify_fetching(token.as_bytes(), SystemTime::now()).await;
    let mut out = io::stdout().lock();
    let identified = match verified {
        Ok(identified) => identified,
        Err(rejected) => {
            if arguments.json {
                let reason = rejected.reason();
                writeln!(out, "{}", json!({ "accepted": false, "reason": reason.0, "why": rejected.to_string() }))?;
            }
            return Err(Failure::Runtime(format!("the token is not accepted: {rejected}")));
        }
    };
    let (identity, verbs) = (identified.identity, room.as_ref());
    let verbs = verbs.map(|room| identity.grants.verbs(room).names().collect::<Vec<_>>());
    let subject = String::from_utf8_lossy(&identity.subject);
    if arguments.json {
        let mut shown = json!({ "accepted": true, "subject": subject, "rooms": rooms(&identity.grants) });
        if let Some(object) = shown.as_object_mut().filter(|_| verbs.is_some()) {
            object.insert("verbs".into(), verbs.into());
        }
        writeln!(out, "{shown}")?;
        return Ok(());
    }
    writeln!(out, "accepted")?;
    line(&mut out, "subject", &output::escaped(subject.as_bytes()))?;
    print_grants(&mut out, &identity.grants)?;
    if let (Some(room), Some(verbs)) = (room, verbs) {
        let verbs = if verbs.is_empty() { "nothing".to_owned() } else { verbs.join(", ") };
        line(&mut out, "in", &format!("{room}: {verbs}"))?;
    }
    Ok(())
}

/// The token that was given: as an argument, by standard input, or by the environment.
fn given(argument: Option<&str>) -> Result<String, Failure> {
    let token = match argument {
        Some("-") => {
            let mut text = String::new();
            // A longer one is none.
            let read = io::stdin().take(MAX_TOKEN).read_to_string(&mut text);
            read.map_err(|error| Failure::Runtime(format!("the token cannot be read: {error}")))?;
            text
        }
        Some(token) => token.to_owned(),
        None => std::env::var(VARIABLE)
            .map_err(|_| Failure::Usage(format!("give a token, - for standard input, or set {VARIABLE}")))?,
    };
    Ok(token.trim().to_owned())
}

/// Where a token is looked for.
pub(super) const VARIABLE: &str = "TICKWIRE_TOKEN";

/// Bytes of standard input that are read.
const MAX_TOKEN: u64 = 64 * 1024;

fn rooms(grants: &Grants) -> Value {
    let rooms = grants.iter().map(|(pattern, verbs)| (pattern.as_str().to_owned(), verbs.names().collect()));
    Value::Object(rooms.collect())
}

fn object(claims: &Claims) -> Value {
    let Claims { sub, exp, nbf, iat, iss, aud, jti, info, grants, .. } = claims;
    json!({
        "sub": sub, "exp": exp, "nbf": nbf, "iat": iat, "iss": iss, "aud": aud, "jti": jti, "info": info,
        "rooms": rooms(grants),
    })
}

fn print_claims(out: &mut impl Write, claims: &Claims) -> Result<(), Failure> {
    let texts = [("sub", &claims.sub), ("iss", &claims.iss), ("jti", &claims.jti), ("info", &claims.info)];
    for (name, text) in texts {
        if let Some(text) = text {
            line(out, name, &output::escaped(text.as_bytes()))?;
        }
    }
    if !claims.aud.is_empty() {
        line(out, "aud", &output::escaped(claims.aud.join(", ").as_bytes()))?;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    for (name, moment) in [("iat", claims.iat), ("nbf", claims.nbf), ("exp", claims.exp)] {
        match moment {
            Some(moment) if moment > now => line(out, name, &format!("{moment}, in {} s", moment - now))?,
            Some(moment) => line(out, name, &format!("{moment}, {} s ago", now - moment))?,
            None => {}
        }
    }
    print_grants(out, &claims.grants)
}

fn print_grants(out: &mut impl Write, grants: &Grants) -> Result<(), Failure> {
    for (pattern, verbs) in grants.iter() {
        line(out, "room", &format!("{}: {}", pattern.as_str(), verbs.names().collect::<Vec<_>>().join(", ")))?;
    }
    Ok(())
}

fn line(out: &mut impl Write, name: &str, value: &str) -> io::Result<()> {
    writeln!(out, "  {name:<10} {value}")
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use tickwire::auth::Rejected;

    use super::*;

    #[derive(Debug, Parser)]
    struct Arguments {
        #[command(flatten)]
        token: TokenArguments,
    }

    fn creating(arguments: &[&str]) -> CreateArguments {
        let parsed = Arguments::try_parse_from([&["token", "create"], arguments].concat());
        let Command::Create(arguments) = parsed.unwrap().token.command else { panic!("not create") };
        arguments
    }

    /// A configuration in a file of its own.
    fn config(name: &str, text: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("tickwire-{}-{name}.toml", std::process::id()));
        std::fs::write(&path, text).unwrap();
        path
    }

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn what_is_created_is_what_a_server_takes() {
        let text = format!(
            "[auth]\n[[auth.issuer]]\nname = 'id'\naudience = 'game'\n\
             key = [{{ kid = 'a', algorithm = 'HS256', secret = '{SECRET}' }}, \
             {{ kid = 'b', algorithm = 'HS256', secret = 'x{SECRET}' }}]\n"
        );
        let path = config("create", &text);
        let file = path.to_str().unwrap();
        let verifier = configured(path.clone()).unwrap().verifier().unwrap().unwrap();
        let verify = |token: &str| verifier.verify(token.as_bytes(), SystemTime::now());
        for kid in [&[][..], &["--kid", "b"]] {
            let rooms = ["--sub", "ann", "--config", file, "--room", "game/*:join,receive", "--room", "a:b:all"];
            let (token, claims) = make(&creating(&[&rooms[..], kid].concat())).unwrap();
            let identified = verify(&token).unwrap();
            assert_eq!((&identified.identity.subject[..], claims["aud"].as_str()), (&b"ann"[..], Some("game")));
            let verbs = |room: &str| identified.identity.grants.verbs(&RoomName::new(room.as_bytes()).unwrap());
            assert_eq!((verbs("game/1"), verbs("a:b")), (Verbs::JOIN.with(Verbs::RECEIVE), Verbs::ALL));
            assert_eq!(
                inspect(token.as_bytes()).unwrap().key_id.as_deref(),
                Some(if kid.is_empty() { "a" } else { "b" })
            );
        }
        let (other, _) = make(&creating(&["--sub", "ann", "--config", file, "--aud", "x"])).unwrap();
        assert_eq!(verify(&other).unwrap_err(), Rejected::Audience);
        let (old, _) = make(&creating(&["--sub", "ann", "--config", file, "--expires", "0s"])).unwrap();
        let later = SystemTime::now() + Duration::from_secs(60);
        assert_eq!(verifier.verify(old.as_bytes(), later).unwrap_err(), Rejected::Expired);
        assert!(make(&creating(&["--sub", "ann", "--config", file, "--kid", "c"])).is_err());
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_private_key_signs_without_a_configuration() {
        for (name, file) in [("RS256", "rsa"), ("ES256", "ec"), ("EdDSA", "ed")] {
            let path = format!("{}/tests/keys/{file}.pem", env!("CARGO_MANIFEST_DIR"));
            let (token, _) = make(&creating(&["--sub", "ann", "--key", &path, "--algorithm", name])).unwrap();
            assert_eq!(inspect(token.as_bytes()).unwrap().algorithm, name);
        }
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        let wrong = |arguments: &[&str]| Arguments::try_parse_from([&["token"], arguments].concat()).is_err();
        assert!(wrong(&["create", "--sub", "ann"]), "who signs?");
        assert!(wrong(&["create", "--sub", "ann", "--key", "x"]), "which algorithm?");
        assert!(wrong(&["create", "--sub", "ann", "--config", "x", "--room", "game/*"]), "which verbs?");
        assert!(wrong(&["create", "--sub", "ann", "--config", "x", "--room", "game/*:fly"]));
        assert!(wrong(&["check", "x"]), "by which configuration?");
        let twice = ["--sub", "ann", "--key", "/nowhere", "--algorithm", "none"];
        assert!(wrong(&[&["create"], &twice[..]].concat()));
    }
}
