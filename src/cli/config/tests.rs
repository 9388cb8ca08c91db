//! Whole configurations: what they come to, and what an operator reads of wrong ones.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
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
         x.toml:3: max_rooms: 'x' is not a number: write a whole one, such as 128\n  \
         x.toml:4: max_frame is at most 65535: the header has 16 bits for it (max_frame = \"1MiB\")\n  \
         TICKWIRE_TICK: '0.5s' is not a duration: write 33ms, 5s or 1m"
    );
}

#[test]
fn a_wrong_line_is_not_repeated_since_a_secret_may_be_in_it() {
    let error = parse("x.toml", "[[auth.issuer]]\nkey = [{ secret = \"hush }]\n").unwrap_err().to_string();
    assert!(error.starts_with("x.toml:2: this is not TOML: ") && !error.contains("hush"), "{error}");
}

#[test]
fn wrong_configurations_are_explained() {
    let mut unlike = 0;
    for (text, expected) in WRONG {
        let error = parse("x.toml", text).expect_err(text).to_string();
        if error != *expected {
            println!("{text:?}\n    {error:?}");
            unlike += 1;
        }
    }
    assert_eq!(unlike, 0, "of {}", WRONG.len());
}

#[test]
fn wrong_variables_are_explained() {
    let mut unlike = 0;
    for (name, value, expected) in WRONG_VARIABLES {
        let error = with("", &[(name, value)], &[]).expect_err(name);
        if error != *expected {
            println!("{name}={value}\n    {error:?}");
            unlike += 1;
        }
    }
    assert_eq!(unlike, 0, "of {}", WRONG_VARIABLES.len());
}

const WRONG: &[(&str, &str)] = &[
    (
        "a = ",
        "x.toml:1: this is not TOML: string values must be quoted, expected literal string; is it a text? Then it needs quotes, such as \"33ms\"",
    ),
    ("tick = '1s'\ntick = '2s'", "x.toml:2: this is not TOML: duplicate key"),
    (
        "listen = 0.0.0.0:7070",
        "x.toml:1: this is not TOML: invalid float, expected nothing; is it a text? Then it needs quotes, such as \"33ms\"",
    ),
    ("[limits\nmax_rooms = 1", "x.toml:1: this is not TOML: unclosed table, expected `]`"),
    ("[limits]\nmax_rooms = 1.5", "x.toml:2: max_rooms: write a whole number, such as 128"),
    ("[admin]\nlsten = '127.0.0.1:1'", "x.toml:2: unknown key `lsten` in [admin]; did you mean `listen`?"),
    ("tik = '33ms'", "x.toml:1: unknown key `tik`; did you mean `tick`?"),
    ("\n\n[limits]\nmax_mesage = 1", "x.toml:4: unknown key `max_mesage` in [limits]; did you mean `max_message`?"),
    (
        "[[class]]\npattern = 'a'\n[[class]]\npatern = 'a'",
        "x.toml:4: unknown key `patern` in [[class]]; did you mean `pattern`?",
    ),
    ("[limit]\n", "x.toml:1: unknown key `limit`; did you mean `limits`?"),
    (
        "port = 1",
        "x.toml:1: unknown key `port`; it belongs to an address: listen, tcp, or listen in [admin], such as \"127.0.0.1:7070\"",
    ),
    ("max_message = '1KiB'", "x.toml:1: unknown key `max_message`; it belongs into [limits]"),
    (
        "[limits]\nlisten = '127.0.0.1:1'",
        "x.toml:2: unknown key `listen` in [limits]; it belongs to the top of the file",
    ),
    ("tick = 33", "x.toml:1: tick: write a duration with its unit, such as \"33ms\" or \"33s\""),
    ("tick = '33'", "x.toml:1: tick: '33' is not a duration: write 33ms, 5s or 1m"),
    ("tick = '2m'", "x.toml:1: tick: a tick is 0, or from 1ms to 60s"),
    ("tick = true", "x.toml:1: tick: write a duration with its unit, such as \"33ms\" or \"5s\""),
    ("shards = 'two'", "x.toml:1: shards: 'two' is not a number: write a whole one, such as 128"),
    ("shards = -1", "x.toml:1: shards: this must not be negative"),
    ("shards = 2000", "x.toml:1: shards: there are 1 to 1024 shards; 0 makes one per core"),
    (
        "listen = 7070",
        "x.toml:1: listen: write an IP address and a port, such as \"127.0.0.1:7070\", or \"0.0.0.0:7070\" for every interface; or false",
    ),
    (
        "listen = ':7070'",
        "x.toml:1: listen: write an IP address and a port, such as \"127.0.0.1:7070\", or \"0.0.0.0:7070\" for every interface; or false",
    ),
    ("listen = 'localhost:7070'", "x.toml:1: listen: names are not looked up: write \"127.0.0.1:7070\""),
    (
        "listen = 'example.org:80'",
        "x.toml:1: listen: names are not looked up: write an IP address and a port, such as \"127.0.0.1:7070\", or \"0.0.0.0:7070\" for every interface; or false",
    ),
    (
        "tcp = true",
        "x.toml:1: tcp: write an IP address and a port, such as \"127.0.0.1:7070\", or \"0.0.0.0:7070\" for every interface; or false",
    ),
    ("listen = false\ntcp = false", "x.toml:1: listen and tcp are both false: clients need one of them"),
    ("listen = '127.0.0.1:7071'", "x.toml:1: tcp is the address of listen already: 127.0.0.1:7071"),
    (
        "listen = '0.0.0.0:7070'",
        "x.toml:1: listen: 0.0.0.0:7070 can be reached from other machines, and without keys everybody there may everything: put keys under [[auth.issuer]], listen on 127.0.0.1 only, or say insecure_anonymous = true",
    ),
    (
        "[admin]\nlisten = '[::]:7072'",
        "x.toml:2: admin.listen: [::]:7072 can be reached from other machines, and without keys everybody there may everything: put keys under [[auth.issuer]], listen on 127.0.0.1 only, or say insecure_anonymous = true",
    ),
    ("limits = 1", "x.toml:1: limits: this must be a table: write [limits]"),
    ("[[limits]]\nmax_rooms = 1", "x.toml:1: limits: this must be a table: write [limits]"),
    ("[class]\npattern = 'a'", "x.toml:1: class: this must be a list of tables: write [[class]]"),
    ("[[class]]\ntick = '1s'", "x.toml:1: a class needs a pattern, such as pattern = \"game/*\""),
    (
        "[[class]]\npattern = 'a b'",
        "x.toml:2: pattern: a pattern is a room name with * for a part and ** for several, such as \"game/*\"",
    ),
    ("[[class]]\npattern = 'a'\n[[class]]\npattern = 'a'", "x.toml:3: there is a class for \"a\" already, at x.toml:1"),
    ("[[class]]\npattern = 'a'\npresence = 'some'", "x.toml:3: presence: write \"full\", \"counts\" or \"off\""),
    ("[[class]]\npattern = 'a'\nurgent = 'no'", "x.toml:3: urgent: write true or false"),
    ("[[class]]\npattern = 'a'\nslow = 'kick'", "x.toml:3: slow: write \"skip\" or \"close\""),
    (
        "[[class]]\npattern = 'a'\nhistory = false",
        "x.toml:3: unknown key `history` in [[class]]; did you mean `history_age`?",
    ),
    (
        "[limits]\nmax_frame = '1MiB'",
        "x.toml:2: max_frame is at most 65535: the header has 16 bits for it (max_frame = \"1MiB\")",
    ),
    ("[limits]\nmax_message = '16KB'", "x.toml:2: max_message: '16KB' is not a size: write 16384, 16KiB, 16kB or 1MiB"),
    (
        "[limits]\nmax_message = '16KiB'",
        "x.toml:2: max_frame must be at least 37 bytes above max_message: a head and a record stand around it (max_frame = \"16KiB\", max_message = \"16KiB\")",
    ),
    (
        "[limits]\nmax_message = '99999999999GiB'",
        "x.toml:2: max_message: '99999999999GiB' is not a size: write 16384, 16KiB, 16kB or 1MiB",
    ),
    (
        "[limits]\nmax_token = '8KiB'",
        "x.toml:2: max_hello_frame must be at least 96 bytes above max_token: else the longest token fits no hello (max_hello_frame = \"4KiB\", max_token = \"8KiB\")",
    ),
    (
        "[limits]\nmax_rooms = 0",
        "x.toml:2: max_members and max_rooms must be at least 1 (max_rooms = 0, max_members = 65536)",
    ),
    (
        "[limits]\nping_interval = 15",
        "x.toml:2: ping_interval: write a duration with its unit, such as \"15ms\" or \"15s\"",
    ),
    ("[limits]\npings_burst = '5GiB'", "x.toml:2: pings_burst: this is at most 4294967295"),
    ("[limits]\nover_joins = 'kick'", "x.toml:2: over_joins: write \"drop\", \"delay\" or \"close\""),
    (
        "[limits]\nover_pings = 'drop'",
        "x.toml:2: over_pings and over_refusals are delay or close: a ping must be answered, and what is refused is dropped already (over_pings = \"drop\", over_refusals = \"close\")",
    ),
    ("[access]\norigin = '*'", "x.toml:2: unknown key `origin` in [access]; did you mean `origins`?"),
    ("[access]\norigins = '*'", "x.toml:2: origins: write a list of strings, such as [\"...\"]"),
    (
        "[access]\norigins = ['example.org']",
        "x.toml:2: origins: \"example.org\": an origin is \"https://example.org\", \"https://*.example.org\", \"http://localhost:3000\", \"null\" or \"*\"",
    ),
    (
        "[access]\ntrusted_proxies = ['10.1.0.0/8']",
        "x.toml:2: trusted_proxies: \"10.1.0.0/8\": a network is an address, or its first bits, such as 10.0.0.0/8, 192.0.2.7 or 2001:db8::/32",
    ),
    ("[access]\nproxy_protocol = 1", "x.toml:2: proxy_protocol: write true or false"),
    (
        "[access]\nproxy_protocol_tcp = true",
        "x.toml:2: proxy_protocol and proxy_protocol_tcp need trusted_proxies: a PROXY header is believed from nobody else (trusted_proxies = [], proxy_protocol = false, proxy_protocol_tcp = true)",
    ),
    (
        "[tls]\ncert = 'a.pem'",
        "x.toml:2: a certificate needs its key: write both, cert = \"chain.pem\" and key = \"key.pem\"",
    ),
    ("[tls]\ncrt = 'a.pem'", "x.toml:2: unknown key `crt` in [tls]; did you mean `cert`?"),
    (
        "[tls]\ncert = 'a'\nkey = 'b'\nself_signed = true",
        "x.toml:4: self_signed makes a certificate, and cert names another: write one of them",
    ),
    ("[log]\naccess = -1", "x.toml:2: access: this must not be negative"),
    ("[auth]", "x.toml:1: tokens need an issuer: write [[auth.issuer]] with a key, a jwks_file or a jwks_url"),
    (
        "[auth]\nquerry = true\n[[auth.issuer]]\njwks_url = 'http://a/'",
        "x.toml:2: unknown key `querry` in [auth]; did you mean `query`?",
    ),
    (
        "[auth]\nleeway = '1h'\n[[auth.issuer]]\njwks_url = 'http://a/'",
        "x.toml:2: leeway: at most 5m: set the clocks that are further off",
    ),
    (
        "[auth]\nanonymous = ['x:fly']\n[[auth.issuer]]\njwks_url = 'http://a/'",
        "x.toml:2: anonymous: \"x:fly\": write a pattern and verbs, such as game/*:join,receive; there are join, publish, receive, values, direct, history, presence, urgent, and all",
    ),
    (
        "[[auth.issuer]]\njwks_url = 'ftp://a/'",
        "x.toml:2: jwks_url: keys are fetched by https://, or by http:// from this machine",
    ),
    (
        "[[auth.issuer]]\njwks_url = 'a'",
        "x.toml:2: jwks_url: write a URL such as https://id.example/jwks.json, without a user",
    ),
    (
        "[[auth.issuer]]\njwks_url = 'http://a/'\njwks_file = 'b'",
        "x.toml:3: an issuer has a jwks_file or a jwks_url, not both",
    ),
    (
        "[[auth.issuer]]\nkey = [{ algorithm = 'none', secret = '' }]",
        "x.toml:2: algorithm: write HS256, RS256, ES256 or EdDSA",
    ),
    ("[[auth.issuer]]\nkey = [{ secret = '' }]", "x.toml:2: a key needs its algorithm: HS256, RS256, ES256 or EdDSA"),
    ("[[auth.issuer]]\nkey = [{ algorithm = 'HS256' }]", "x.toml:2: a key has a secret or a file"),
    (
        "[[auth.issuer]]\nkey = [{ algorithm = 'HS256', secret = 'short' }]",
        "x.toml:2: secret: a secret has at least 32 bytes",
    ),
    (
        "[[auth.issuer]]\nkey = [{ algorithm = 'ES256', secret = 'x' }]",
        "x.toml:2: a key for ES256 has no secret: write file = \"...\" with the public key in PEM format",
    ),
    (
        "[[auth.issuer]]\nkey = { algorithm = 'HS256' }",
        "x.toml:2: key: this must be a list of tables: write [[auth.issuer.key]]",
    ),
];

const WRONG_VARIABLES: &[(&str, &str, &str)] = &[
    ("TICKWIRE_LISTN", "127.0.0.1:1", "TICKWIRE_LISTN: there is no such variable; did you mean TICKWIRE_LISTEN?"),
    (
        "TICKWIRE_MAX_MESSAGE",
        "1KiB",
        "TICKWIRE_MAX_MESSAGE: there is no such variable; did you mean TICKWIRE_LIMITS_MAX_MESSAGE?",
    ),
    (
        "TICKWIRE_LIMITS_MAX_MESSAGE",
        "lots",
        "TICKWIRE_LIMITS_MAX_MESSAGE: 'lots' is not a size: write 16384, 16KiB, 16kB or 1MiB",
    ),
    (
        "TICKWIRE_TCP",
        "no",
        "TICKWIRE_TCP: write an IP address and a port, such as \"127.0.0.1:7070\", or \"0.0.0.0:7070\" for every interface; or false",
    ),
    (
        "TICKWIRE_PORT",
        "7070",
        "TICKWIRE_PORT: there is no such variable; addresses are TICKWIRE_LISTEN, TICKWIRE_TCP and TICKWIRE_ADMIN_LISTEN, such as 127.0.0.1:7070",
    ),
    (
        "TICKWIRE_LOG_LEVEL",
        "debug",
        "TICKWIRE_LOG_LEVEL: there is no such variable; how much is logged says TICKWIRE_LOG, such as TICKWIRE_LOG=tickwire=debug,warn",
    ),
    ("TICKWIRE_LOG_JSON", "yes", "TICKWIRE_LOG_JSON: write true or false"),
    (
        "TICKWIRE_ACCESS_ORIGINS",
        "https://a.example,https://b.example",
        "TICKWIRE_ACCESS_ORIGINS: \"https://a.example,https://b.example\": an origin is \"https://example.org\", \"https://*.example.org\", \"http://localhost:3000\", \"null\" or \"*\"; items are parted by spaces",
    ),
    (
        "TICKWIRE_AUTH_LEEWAY",
        "1s",
        "TICKWIRE_AUTH_LEEWAY: tokens need an issuer: write [[auth.issuer]] with a key, a jwks_file or a jwks_url",
    ),
    (
        "TICKWIRE_LIMITS_MAX_FRAME",
        "1MiB",
        "TICKWIRE_LIMITS_MAX_FRAME: max_frame is at most 65535: the header has 16 bits for it (max_frame = \"1MiB\")",
    ),
    (
        "TICKWIRE_LISTEN",
        "0.0.0.0:7070",
        "TICKWIRE_LISTEN: listen: 0.0.0.0:7070 can be reached from other machines, and without keys everybody there may everything: put keys under [[auth.issuer]], listen on 127.0.0.1 only, or say insecure_anonymous = true",
    ),
    (
        "TICKWIRE_WHATEVER_ELSE_THERE_IS",
        "1",
        "TICKWIRE_WHATEVER_ELSE_THERE_IS: there is no such variable; a variable is TICKWIRE_ and a key of `tickwire config default`, its table in front",
    ),
];

/// Lines of files: mostly nearly right.
fn lines() -> impl Strategy<Value = String> {
    let names: Vec<String> =
        environment::paths().map(|path| path.rsplit('.').next().unwrap_or_default().to_owned()).collect();
    let heads =
        ["[limits]", "[access]", "[tls]", "[auth]", "[[auth.issuer]]", "[[auth.issuer.key]]", "[[class]]", "[log]"];
    let values = [
        "0",
        "-1",
        "18446744073709551615",
        "'18446744073709551615'",
        "'17179869183GiB'",
        "true",
        "false",
        "''",
        "[]",
        "{}",
        "1.5",
        "'1ms'",
        "'307445734561825h'",
        "'16KiB'",
        "'*'",
        "['*', 'a:join']",
        "['0.0.0.0/0']",
        "'127.0.0.1:0'",
        "'drop'",
        "'delay'",
        "'**'",
        "'a'",
        "'HS256'",
        "'0123456789abcdef0123456789abcdef'",
        "\"\\u0000\\n\"",
        "'http://a/'",
    ];
    let more = [
        "pattern",
        "kid",
        "algorithm",
        "secret",
        "file",
        "name",
        "audience",
        "jwks_file",
        "jwks_url",
        "presence",
        "slow",
    ];
    let names: Vec<String> = names.into_iter().chain(more.map(str::to_owned)).collect();
    let line = (select(names), select(values.to_vec())).prop_map(|(name, value)| format!("{name} = {value}"));
    prop_oneof![4 => line, 2 => select(heads.to_vec()).prop_map(str::to_owned), 1 => "\\PC{0,12}"]
}

#[test]
fn the_page_is_served_where_clients_need_no_token() {
    let check = |text: &str, expected: bool| assert_eq!(parse("x.toml", text).unwrap().has_page(), expected, "{text}");
    let issuer = "[[auth.issuer]]\njwks_url = 'http://a/'";
    check("", true);
    check("listen = '0.0.0.0:1'\ninsecure_anonymous = true", true);
    check("page = 'never'", false);
    check(issuer, false);
    check(&format!("page = 'always'\n{issuer}"), true);
    let flag = Sources { flags: vec![("page", "--no-page", "never".into())], ..Sources::default() };
    assert!(!read(Some(("x.toml", "page = 'always'")), &flag).unwrap().has_page());
    let wrong = parse("x.toml", "page = true").unwrap_err();
    assert_eq!(wrong.0, ["x.toml:1: page: write a string, such as \"...\""]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_file_is_read_or_explained(lines in proptest::collection::vec(lines(), 0..6)) {
        match parse("x.toml", &lines.join("\n")) {
            Ok(config) => {
                prop_assert_eq!(config.limits.check(), Ok(()));
                let shown = config.to_toml(Secrets::Shown, false);
                let again = parse("y.toml", &shown).map_err(|problems| TestCaseError::fail(problems.to_string()))?;
                prop_assert_eq!(again.to_toml(Secrets::Shown, false), shown);
                let _warnings = (config.warnings(), config.to_json());
            }
            Err(Problems(problems)) => {
                prop_assert!(!problems.is_empty());
                prop_assert!(problems.iter().all(|problem| !problem.contains(char::is_control)), "{:?}", problems);
            }
        }
    }
}
