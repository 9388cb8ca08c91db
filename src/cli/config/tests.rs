//! Whole configurations: what they come to, and what an operator reads of wrong ones.

use std::time::Duration;

use tickwire::class::{HistoryBounds, PresenceMode, SlowPolicy};

use super::show::{Secrets, default_file, reference};
use super::*;

/// Variables over a file.
fn with(
    text: &str,
    variables: &[(&str, &str)],
    flags: &[(&'static str, &'static str, &str)],
) -> Result<Config, String> {
    let environment = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
    let flags = flags.iter().map(|(path, flag, value)| (*path, *flag, (*value).to_owned())).collect();
    read(Some(("x.toml", text)), &Sources { file: None, flags, environment }).map_err(|problems| problems.to_string())
}

#[test]
fn a_file_sets_what_it_names() {
    let text = "
        listen = '0.0.0.0:80'
        tcp = false
        tick = '33ms'
        shards = 3
        insecure_anonymous = true
        [limits]
        max_message = '8KiB'
        max_rooms = 7
        refusals_per_sec = 9
        ping_interval = '1m'
        [access]
        origins = ['https://example.org', '*']
        trusted_proxies = ['10.0.0.0/8', '::1']
        proxy_protocol = true
        exempt = []
        [log]
        access = 100
        [[class]]
        pattern = 'game/*'
        tick = 0
        presence = 'counts'
        [[class]]
        pattern = '**'
        linger = '5s'
        urgent = false
        slow = 'close'
        compress = false
        history_batches = 0
        history_age = '5s'
    ";
    let config = parse("x.toml", text).unwrap();
    assert_eq!(config.websocket.unwrap().to_string(), "0.0.0.0:80");
    assert_eq!((config.tcp, config.shards, config.insecure_anonymous), (None, 3, true));
    assert_eq!((config.limits.max_message, config.limits.max_rooms), (8192, 7));
    assert_eq!((config.limits.refusals_per_sec, config.limits.ping_interval), (9, Duration::from_secs(60)));
    let access = &config.access;
    assert_eq!((access.origins.len(), access.trusted_proxies.len(), access.exempt.len()), (2, 2, 0));
    assert!(access.proxy_protocol.websocket && !access.proxy_protocol.tcp);
    assert_eq!(config.observe().access, 100);
    let classes = config.room_classes();
    assert_eq!(classes.default.period, Duration::from_millis(33));
    let [(_, game), (_, all)] = &classes.by_pattern[..] else { panic!("two") };
    assert_eq!((game.period, game.presence, game.urgent), (Duration::ZERO, PresenceMode::Counts, true));
    assert_eq!((all.period, all.linger, all.urgent), (Duration::from_millis(33), Duration::from_secs(5), false));
    assert_eq!((all.slow, all.compress), (SlowPolicy::Close, false));
    let history = HistoryBounds { batches: 0, age: Duration::from_secs(5), ..classes.default.history };
    assert_eq!(all.history, history);
}

#[test]
fn flags_win_over_variables_and_those_over_the_file() {
    let file = "tick = '1s'\nlisten = '127.0.0.1:1'\ntcp = '127.0.0.1:2'\n[limits]\nmax_rooms = 1";
    let variables = [
        ("TICKWIRE_TICK", "2s"),
        ("TICKWIRE_LISTEN", "127.0.0.1:3"),
        ("TICKWIRE_ACCESS_ORIGINS", "https://a.example https://b.example"),
        ("TICKWIRE_LIMITS_MAX_FRAME", ""),
        ("TICKWIRE_AUTH_ANONYMOUS", "lobby/*:join,receive all:all"),
        ("TICKWIRE_LOG_JSON", "true"),
        ("TICKWIRE_LOG", "debug"),
        ("TICKWIRE_TOKEN", "a"),
        ("TICKWIRE_PORT", "tcp://10.0.0.1:7070"),
        ("PATH", "/"),
    ];
    let issuer = "\n[[auth.issuer]]\njwks_url = 'http://127.0.0.1:1/'";
    let config = with(&format!("{file}{issuer}"), &variables, &[("tick", "--tick", "3s")]).unwrap();
    assert_eq!(config.tick, Duration::from_secs(3));
    assert_eq!((config.websocket.unwrap().port(), config.tcp.unwrap().port()), (3, 2));
    assert_eq!((config.limits.max_rooms, config.limits.max_frame), (1, 16_384));
    assert_eq!((config.access.origins.len(), config.log_json), (2, true));
    assert_eq!(config.anonymous.as_ref().map_or(0, |grants| grants.iter().count()), 2);
    let origins = ["tick", "listen", "tcp", "limits.max_rooms", "shards"].map(|path| config.origin(path).to_string());
    assert_eq!(origins, ["--tick", "TICKWIRE_LISTEN", "x.toml:3", "x.toml:5", "default"]);
}

#[test]
fn the_default_file_says_the_defaults() {
    let file = default_file();
    let same = |config: &Config| {
        assert_eq!(config.to_toml(Secrets::Shown, false), Config::default().to_toml(Secrets::Shown, false))
    };
    same(&parse("x.toml", &file).unwrap());
    // A key is behind a # alone, a sentence behind one with a space.
    let said = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with(' ') => rest.to_owned(),
        _ => line.to_owned(),
    };
    let said = file.lines().map(said).collect::<Vec<_>>().join("\n");
    let config = parse("x.toml", &said).unwrap();
    same(&config);
    let auth = |path: &str| path.starts_with("auth.");
    for path in environment::paths() {
        assert_eq!(config.origin(&path) == &Origin::Default, auth(&path), "{path} stands in the file");
        let name = path.rsplit('.').next().unwrap();
        assert!(file.contains(&format!("{}{name} = ", if auth(&path) { "# " } else { "#" })), "{path}");
    }
}

#[test]
fn what_is_shown_reads_back_and_hides_secrets() {
    let secret = "0123456789abcdef0123456789abcdef";
    let text = format!(
        "tick = '16667us'\n[limits]\nmax_memory = '3GiB'\nover_joins = 'delay'\n[access]\norigins = ['https://*.a.example']\n\
         [auth]\nanonymous = ['a:join', 'b/**:all']\n[[auth.issuer]]\nname = 'x\"y'\naudience = ''\n\
         key = [{{ kid = '1', algorithm = 'HS256', secret = '{secret}' }}, {{ kid = '2', algorithm = 'EdDSA', file = 'a' }}]\n\
         [[auth.issuer]]\nname = 'b'\njwks_file = 'b.json'\n[[class]]\npattern = 'a/*'\ntick = 0\nhistory_bytes = 1000"
    );
    let config = parse("x.toml", &text).unwrap();
    let shown = config.to_toml(Secrets::Shown, false);
    assert!(shown.contains(secret));
    assert_eq!(parse("y.toml", &shown).unwrap().to_toml(Secrets::Shown, false), shown);
    let hidden = config.to_toml(Secrets::Hidden, true);
    for line in ["tick = \"16667us\"", "name = 'x\"y'", "over_joins = \"delay\"", "secret = \"(hidden)\""] {
        assert!(hidden.lines().any(|shown| shown.starts_with(line) && shown.contains("# x.toml:")), "{line}: {hidden}");
    }
    assert!(hidden.lines().any(|line| line.starts_with("max_rooms = 128 ") && line.ends_with("# default")), "{hidden}");
    let json = config.to_json();
    assert!(!hidden.contains(secret) && !json.to_string().contains(secret));
    let setting = |key: &str| {
        let settings = json["settings"].as_array().unwrap();
        settings.iter().find(|setting| setting["key"] == key).map(|setting| setting["value"].clone()).unwrap()
    };
    assert_eq!((setting("limits.max_memory"), setting("limits.max_rooms")), ("3GiB".into(), 128.into()));
    assert_eq!((setting("auth.issuer.0.key.0.secret"), setting("class.0.tick")), ("(hidden)".into(), "0s".into()));
}

#[test]
fn the_reference_in_the_docs_is_that_of_the_table() {
    let docs = include_str!("../../../docs/configuration.md");
    let begin = "<!-- Printed by `tickwire config reference`. -->\n\n";
    let (_, shown) = docs.split_once(begin).expect("the docs have the reference");
    assert!(shown == reference(), "print the reference with `cargo run -- config reference`, and put it into the docs");
}

#[test]
fn everything_wrong_is_found_at_once() {
    let wrong = with("tik = 1\n[limits]\nmax_rooms = 'x'\nmax_frame = '1MiB'", &[("TICKWIRE_TICK", "0.5s")], &[]);
    assert_eq!(
        wrong.unwrap_err(),
        "4 things are wrong with the configuration:\n  \
         x.toml:1: unknown key `tik`; did you mean `tick`?\n  \
         TICKWIRE_TICK: '0.5s' is not a duration: write 33ms, 5s or 1m\n  \
         x.toml:3: max_rooms: 'x' is not a size: write 16384, 16KiB or 1MiB\n  \
         x.toml:4: max_frame is at most 65535: the header has 16 bits for it"
    );
}

#[test]
fn a_wrong_line_is_not_repeated_since_a_secret_may_be_in_it() {
    let error = parse("x.toml", "[[auth.issuer]]\nkey = [{ secret = \"hush }]\n").unwrap_err().to_string();
    assert!(error.starts_with("x.toml:2: this is not TOML: ") && !error.contains("hush"), "{error}");
}

#[test]
fn wrong_configurations_are_explained() {
    for (text, expected) in WRONG {
        let error = parse("x.toml", text).expect_err(text).to_string();
        println!("{text:?}\n    {error}");
        assert_eq!(&error, expected, "{text}");
    }
}

#[test]
fn wrong_variables_are_explained() {
    for (name, value, expected) in WRONG_VARIABLES {
        let error = with("", &[(name, value)], &[]).expect_err(name);
        println!("{name}={value}\n    {error}");
        assert_eq!(&error, expected);
    }
}

const WRONG: &[(&str, &str)] = &[
    ("a = ", ""),
    ("tick = '1s'\ntick = '2s'", ""),
    ("tik = '33ms'", ""),
    ("\n\n[limits]\nmax_mesage = 1", ""),
    ("[[class]]\npattern = 'a'\n[[class]]\npatern = 'a'", ""),
    ("[limit]\n", ""),
    ("port = 1", ""),
    ("max_message = '1KiB'", ""),
    ("[limits]\nlisten = '127.0.0.1:1'", ""),
    ("tick = 33", ""),
    ("tick = '33'", ""),
    ("tick = '2m'", ""),
    ("tick = true", ""),
    ("shards = 'two'", ""),
    ("shards = -1", ""),
    ("shards = 2000", ""),
    ("listen = 7070", ""),
    ("listen = ':7070'", ""),
    ("listen = 'localhost:7070'", ""),
    ("listen = 'example.org:80'", ""),
    ("tcp = true", ""),
    ("listen = false\ntcp = false", ""),
    ("listen = '127.0.0.1:7071'", ""),
    ("listen = '0.0.0.0:7070'", ""),
    ("[admin]\nlisten = '[::]:7072'", ""),
    ("limits = 1", ""),
    ("[[limits]]\nmax_rooms = 1", ""),
    ("[class]\npattern = 'a'", ""),
    ("[[class]]\ntick = '1s'", ""),
    ("[[class]]\npattern = 'a b'", ""),
    ("[[class]]\npattern = 'a'\n[[class]]\npattern = 'a'", ""),
    ("[[class]]\npattern = 'a'\npresence = 'some'", ""),
    ("[[class]]\npattern = 'a'\nurgent = 'no'", ""),
    ("[[class]]\npattern = 'a'\nslow = 'kick'", ""),
    ("[[class]]\npattern = 'a'\nhistory = false", ""),
    ("[limits]\nmax_frame = '1MiB'", ""),
    ("[limits]\nmax_message = '16KB'", ""),
    ("[limits]\nmax_message = '16KiB'", ""),
    ("[limits]\nmax_message = '99999999999GiB'", ""),
    ("[limits]\nmax_token = '8KiB'", ""),
    ("[limits]\nmax_rooms = 0", ""),
    ("[limits]\nping_interval = 15", ""),
    ("[limits]\npings_burst = '5GiB'", ""),
    ("[limits]\nover_joins = 'kick'", ""),
    ("[limits]\nover_pings = 'drop'", ""),
    ("[access]\norigin = '*'", ""),
    ("[access]\norigins = '*'", ""),
    ("[access]\norigins = ['example.org']", ""),
    ("[access]\ntrusted_proxies = ['10.1.0.0/8']", ""),
    ("[access]\nproxy_protocol = 1", ""),
    ("[access]\nproxy_protocol_tcp = true", ""),
    ("[tls]\ncert = 'a.pem'", ""),
    ("[tls]\ncrt = 'a.pem'", ""),
    ("[tls]\ncert = 'a'\nkey = 'b'\nself_signed = true", ""),
    ("[log]\naccess = -1", ""),
    ("[auth]", ""),
    ("[auth]\nquerry = true\n[[auth.issuer]]\njwks_url = 'http://a/'", ""),
    ("[auth]\nleeway = '1h'\n[[auth.issuer]]\njwks_url = 'http://a/'", ""),
    ("[auth]\nanonymous = ['x:fly']\n[[auth.issuer]]\njwks_url = 'http://a/'", ""),
    ("[[auth.issuer]]\njwks_url = 'https://a/'", ""),
    ("[[auth.issuer]]\njwks_url = 'a'", ""),
    ("[[auth.issuer]]\njwks_url = 'http://a/'\njwks_file = 'b'", ""),
    ("[[auth.issuer]]\nkey = [{ algorithm = 'none', secret = '' }]", ""),
    ("[[auth.issuer]]\nkey = [{ secret = '' }]", ""),
    ("[[auth.issuer]]\nkey = [{ algorithm = 'HS256' }]", ""),
    ("[[auth.issuer]]\nkey = [{ algorithm = 'HS256', secret = 'short' }]", ""),
    ("[[auth.issuer]]\nkey = [{ algorithm = 'ES256', secret = 'x' }]", ""),
    ("[[auth.issuer]]\nkey = { algorithm = 'HS256' }", ""),
];

const WRONG_VARIABLES: &[(&str, &str, &str)] = &[
    ("TICKWIRE_LISTN", "127.0.0.1:1", ""),
    ("TICKWIRE_MAX_MESSAGE", "1KiB", ""),
    ("TICKWIRE_LIMITS_MAX_MESSAGE", "lots", ""),
    ("TICKWIRE_TCP", "no", ""),
    ("TICKWIRE_PORT", "7070", ""),
    ("TICKWIRE_LOG_LEVEL", "debug", ""),
    ("TICKWIRE_LOG_JSON", "yes", ""),
    ("TICKWIRE_ACCESS_ORIGINS", "https://a.example,https://b.example", ""),
    ("TICKWIRE_AUTH_LEEWAY", "1s", ""),
    ("TICKWIRE_LIMITS_MAX_FRAME", "1MiB", ""),
    ("TICKWIRE_LISTEN", "0.0.0.0:7070", ""),
    ("TICKWIRE_WHATEVER_ELSE_THERE_IS", "1", ""),
];
