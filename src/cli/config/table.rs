//! Every key of a file outside of tables that may come several times, which have theirs in `class` and `auth`.
//!
//! ```text
//! SECTIONS ──> what is read, what TICKWIRE_… variables there are, config default, config show, the reference
//! ```

use super::Config;
use super::key::{Key, key};
use super::limits::LIMITS;

/// A table of the file, or its top.
pub(in crate::cli) struct Table {
    /// Empty for the top.
    pub(in crate::cli) name: &'static str,
    pub(in crate::cli) doc: &'static str,
    pub(in crate::cli) keys: &'static [Key<Config>],
    /// Tables that may come several times, and stand below.
    pub(super) inner: &'static [&'static str],
}

/// The file from its top.
pub(in crate::cli) const TABLES: &[Table] = &[
    Table { name: "", doc: "Where clients find the server.", keys: TOP, inner: &["class"] },
    Table {
        name: "access",
        doc: "Who may connect, and who is believed to speak for others.",
        keys: ACCESS,
        inner: &[],
    },
    Table {
        name: "auth",
        doc: "How clients prove who they are. It needs an [[auth.issuer]].",
        keys: AUTH,
        inner: &["issuer"],
    },
    Table { name: "tls", doc: "The certificate of both addresses.", keys: TLS, inner: &[] },
    Table {
        name: "admin",
        doc: "What operators see, and with which [[admin.keys]] they do more.",
        keys: ADMIN,
        inner: &["keys"],
    },
    Table { name: "log", doc: "What is logged. How much of it says the variable TICKWIRE_LOG.", keys: LOG, inner: &[] },
    Table { name: "limits", doc: "Every bound that a peer can meet.", keys: LIMITS, inner: &[] },
];

const TOP: &[Key<Config>] = &[
    key!(Config: Address "listen" websocket, NextStart, "Where HTTP and WebSocket are served; false for nowhere."),
    key!(Config: Address "tcp" tcp, NextStart, "Where TCP is served; false for nowhere."),
    key!(Config: Tick "tick" tick, NewRooms, "Time between flushes of a room, from 1ms to 60s; 0 flushes at once."),
    key!(Config: Shards "shards" shards, NextStart, "How many threads own rooms and sockets; 0 for one per core."),
    key!(Config: Page "page" page, NextStart,
        "An arena at / to see the server work; auto: where clients need no token."),
    key!(Config: Switch "insecure_anonymous" insecure_anonymous, NextStart,
        "Serve clients that have proved nothing and may everything on public addresses too."),
];

const ACCESS: &[Key<Config>] = &[
    key!(Config: Origins "origins" access.origins, NewConnections,
        "Web pages that may connect. None listed: those of the host that they connect to; on loopback, pages of loopback."),
    key!(Config: Networks "trusted_proxies" access.trusted_proxies, NewConnections,
        "Proxies that are believed when they say whom they speak for."),
    key!(Config: Switch "proxy_protocol" access.proxy_protocol.websocket, NewConnections,
        "Trusted proxies begin with a PROXY header on the port of HTTP."),
    key!(Config: Switch "proxy_protocol_tcp" access.proxy_protocol.tcp, NewConnections,
        "Trusted proxies begin with a PROXY header on the port of TCP."),
    key!(Config: Networks "exempt" access.exempt, NewConnections, "Addresses without limits of their own."),
];

const AUTH: &[Key<Config>] = &[
    key!(Config: Leeway "leeway" leeway, NewTokens, "How far the clocks of those who make tokens may be off; at most 5m."),
    key!(Config: Switch "query" query, NewConnections, "Take ?token= too. It ends up in logs of proxies."),
    key!(Config: Patterns "anonymous" anonymous, NewTokens,
        "What clients without a token may do, such as \"lobby/*:join,receive\". Nothing listed: they are refused."),
];

const TLS: &[Key<Config>] = &[
    key!(Config: File "cert" tls.cert, NextStart,
        "A certificate chain in PEM, the server's own first. What is in the file is read again."),
    key!(Config: File "key" tls.key, NextStart, "The certificate's private key in PEM. What is in the file is read again."),
    key!(Config: Switch "self_signed" tls.self_signed, NextStart, "A new certificate that nobody has signed, for trying it."),
];

const ADMIN: &[Key<Config>] = &[key!(Config: Address "listen" admin, NextStart,
    "Where metrics, health checks and rooms' events are served to operators; false for nowhere.")];

const LOG: &[Key<Config>] = &[
    key!(Config: Count "access" access_log, NextStart, "One of so many connection ends is told; 0 tells none."),
    key!(Config: Switch "json" log_json, NextStart, "Log as JSON, one object a line."),
];
