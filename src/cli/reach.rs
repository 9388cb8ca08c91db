//! How a command reaches a server: whose certificate it takes, and who it says that it is.

use std::path::PathBuf;

use clap::Args;
use tickwire::client::{ClientConfig, Token, Trust, Url};
use tickwire::tls::Fingerprint;

use super::{Failure, token};

/// Whose certificate is taken, of a server with wss:// or tls://: the public authorities' by default. And a token.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct ReachArguments {
    /// Over TLS, trust the authorities in this file (PEM) and no others
    #[arg(long, value_name = "FILE", conflicts_with = "fingerprint")]
    ca: Option<PathBuf>,
    /// Over TLS, trust the one certificate with this SHA-256, such as `serve --tls-self-signed` prints
    #[arg(long, value_name = "SHA-256")]
    fingerprint: Option<Fingerprint>,
    /// Who you are [default: TICKWIRE_TOKEN]; without one the server must take anybody
    #[arg(long)]
    token: Option<String>,
}

impl ReachArguments {
    /// How to connect to a server.
    pub(super) fn config(&self, url: &Url) -> Result<ClientConfig, Failure> {
        let mut config = ClientConfig::new(url.clone());
        config.token = self.token();
        let trust = match (&self.ca, self.fingerprint) {
            (None, None) => return Ok(config),
            _ if !url.is_secure() => {
                let text = "--ca and --fingerprint are for wss:// and tls://: nothing is checked without TLS";
                return Err(Failure::Usage(text.into()));
            }
            (Some(path), _) => {
                let failure = |what: &dyn std::fmt::Display| Failure::Usage(format!("{}: {what}", path.display()));
                let pem = std::fs::read(path).map_err(|error| failure(&error))?;
                Trust::roots(&pem).map_err(|error| failure(&error))?
            }
            (None, Some(fingerprint)) => Trust::fingerprint(fingerprint),
        };
        Ok(config.trust(trust))
    }

    /// The token of the flag, or of the environment.
    fn token(&self) -> Option<Token> {
        let token = self.token.clone().or_else(|| std::env::var(token::VARIABLE).ok());
        token.filter(|token| !token.is_empty()).map(Token::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_without_tls_is_refused() {
        let fingerprint = Some(Fingerprint::of(b""));
        let arguments = ReachArguments { fingerprint, ..ReachArguments::default() };
        let config = |url: &str| arguments.config(&url.parse().unwrap());
        assert!(config("wss://h").unwrap().trust.is_some());
        assert!(matches!(config("ws://h"), Err(Failure::Usage(_))));
        let arguments = ReachArguments { ca: Some("/nowhere/ca.pem".into()), ..ReachArguments::default() };
        let error = arguments.config(&"tls://h".parse().unwrap()).unwrap_err();
        assert!(error.to_string().contains("/nowhere/ca.pem"), "{error}");
    }
}
