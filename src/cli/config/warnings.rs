//! What is legal and probably not meant.

use std::path::Path;

use tickwire::grants::{Grants, Verbs};
use tickwire::server::access::Origin as Page;

use super::{Certificate, Config, is_local};

impl Config {
    /// What an operator should know of this configuration, a sentence each.
    pub(in crate::cli) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let mut warn = |path: &str, what: &str| {
            let origin = self.origin(path);
            warnings.push(format!("{path} ({origin}): {what}"));
        };
        let certificate = self.certificate();
        for (path, addr) in self.addresses().filter(|(_, addr)| !is_local(addr.ip())) {
            match path {
                "admin.listen" => warn(
                    path,
                    "other machines can reach it; whoever does sees metrics, and what is in rooms as far as strangers may",
                ),
                _ if certificate.is_none() => warn(
                    path,
                    &format!(
                        "{addr} is reached without TLS: tokens and messages can be read on the way, unless a proxy before it does TLS"
                    ),
                ),
                _ => {}
            }
        }
        let is_public = self.addresses().any(|(_, addr)| !is_local(addr.ip()));
        if self.insecure_anonymous && self.has_auth() {
            warn("insecure_anonymous", "tokens are verified, so that it does nothing");
        } else if self.insecure_anonymous && is_public {
            warn("insecure_anonymous", "everybody who reaches the server may everything in every room");
        }
        let writes = [Verbs::PUBLISH, Verbs::DIRECT, Verbs::VALUES];
        let may_write = |grants: &Grants| grants.iter().any(|(_, verbs)| writes.iter().any(|verb| verbs.has(*verb)));
        if self.anonymous.as_ref().is_some_and(may_write) {
            warn("auth.anonymous", "clients without a token may write into rooms");
        }
        if self.query {
            warn("auth.query", "tokens in the query of a request end up in logs of proxies, and in histories");
        }
        if certificate == Some(Certificate::SelfSigned) {
            warn("tls.self_signed", "it is another certificate at each start, which nobody trusts");
        }
        if self.access.origins.iter().any(|origin| matches!(origin, Page::Any)) {
            warn("access.origins", "\"*\" lets every web page connect, with its visitor's address");
        }
        let everybody = |network: &tickwire::server::access::Network| network.to_string().ends_with("/0");
        if self.access.trusted_proxies.iter().any(everybody) {
            warn(
                "access.trusted_proxies",
                "everybody is believed who says for whom he speaks, so that limits by address do nothing",
            );
        }
        if self.access.exempt.iter().any(everybody) {
            warn("access.exempt", "everybody is exempt, so that limits by address do nothing");
        }
        self.warn_of_classes(&mut warn);
        self.warn_of_secrets(&mut warn);
        warnings
    }

    fn warn_of_classes(&self, warn: &mut impl FnMut(&str, &str)) {
        let all = self.classes.iter().position(|(pattern, _)| pattern.as_str() == "**");
        for index in all.map_or(0..0, |all| all + 1..self.classes.len()) {
            warn(&format!("class.{index}.pattern"), "no room gets here: \"**\" above fits every name");
        }
        for (index, (_, class)) in self.classes.iter().enumerate() {
            if class.history.bytes > self.limits.kept_bytes {
                warn(
                    &format!("class.{index}.history_bytes"),
                    "this is more than limits.kept_bytes, which all rooms share",
                );
            }
        }
    }

    /// Whether others may read a file with a secret in it.
    fn warn_of_secrets(&self, warn: &mut impl FnMut(&str, &str)) {
        let mut look = |path: &str, file: &Path| {
            if is_for_everybody(file) {
                warn(path, &format!("every user of this machine can read {}: chmod o-r", file.display()));
            }
        };
        for (index, issuer) in self.issuers.iter().enumerate() {
            for (number, key) in issuer.keys.iter().enumerate() {
                let path = format!("auth.issuer.{index}.key.{number}.");
                let file = match self.origin(&format!("{path}secret")) {
                    super::Origin::Line { file, .. } => Some((Path::new(file), "secret")),
                    _ if key.algorithm == Some(tickwire::auth::Algorithm::Hs256) => {
                        key.file.as_deref().map(|file| (file, "file"))
                    }
                    _ => None,
                };
                if let Some((file, name)) = file {
                    look(&format!("{path}{name}"), file);
                }
            }
        }
        for index in 0..self.api_keys.len() {
            let path = format!("admin.keys.{index}.key");
            if let super::Origin::Line { file, .. } = self.origin(&path) {
                look(&path, Path::new(file));
            }
        }
        if let Some(file) = &self.tls.key {
            look("tls.key", file);
        }
    }
}

#[cfg(unix)]
fn is_for_everybody(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o004 != 0)
}

#[cfg(not(unix))]
fn is_for_everybody(_: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    #[test]
    fn what_is_probably_not_meant_is_told() {
        let check = |text: &str, expected: &[&str]| {
            let warnings = parse("x.toml", text).unwrap().warnings();
            assert_eq!(warnings.len(), expected.len(), "{text}: {warnings:?}");
            for (warning, expected) in warnings.iter().zip(expected) {
                assert!(warning.starts_with(expected), "{warning:?} should begin with {expected:?}");
            }
        };
        let issuer = "[[auth.issuer]]\njwks_url = 'http://a/'\n";
        check("", &[]);
        check(
            "listen = '0.0.0.0:1'\ninsecure_anonymous = true",
            &[
                "listen (x.toml:1): 0.0.0.0:1 is reached without TLS",
                "insecure_anonymous (x.toml:2): everybody who reaches",
            ],
        );
        check(&format!("insecure_anonymous = true\n{issuer}"), &["insecure_anonymous (x.toml:1): tokens are verified"]);
        check(&format!("[admin]\nlisten = '[::]:2'\n{issuer}"), &["admin.listen (x.toml:2): other machines"]);
        check(
            &format!("auth.anonymous = ['**:publish']\nauth.query = true\n{issuer}"),
            &["auth.anonymous (x.toml:1): clients without a token", "auth.query (x.toml:2): tokens in the query"],
        );
        check("[tls]\nself_signed = true", &["tls.self_signed (x.toml:2): it is another"]);
        check(
            "[access]\norigins = ['*']\ntrusted_proxies = ['0.0.0.0/0']\nexempt = ['::/0']",
            &["access.origins (x.toml:2)", "access.trusted_proxies (x.toml:3)", "access.exempt (x.toml:4)"],
        );
        check(
            "[[class]]\npattern = '**'\nhistory_bytes = '1GiB'\n[[class]]\npattern = 'a'",
            &["class.1.pattern (x.toml:5): no room", "class.0.history_bytes (x.toml:3): this is more"],
        );
    }
}
