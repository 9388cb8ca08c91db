//! Certificates that change while a server runs.

use std::path::{Path, PathBuf};

use rustls::version::TLS13;
use tickwire::server::{Server, Tls, TlsError};
use tickwire::tls::Fingerprint;

use super::super::support::{TestServer, Transport, limits};
use super::{Pem, connect, greeted};
use crate::server::say;
use tickwire::wire::control::Mode;

/// Two files that are gone at the end.
struct Files {
    directory: PathBuf,
}

impl Files {
    fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("tickwire-tls-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        Self { directory }
    }

    fn certificate(&self) -> PathBuf {
        self.directory.join("chain.pem")
    }

    fn key(&self) -> PathBuf {
        self.directory.join("key.pem")
    }

    fn write(&self, certificate: &str, key: &str) {
        std::fs::write(self.certificate(), certificate).unwrap();
        std::fs::write(self.key(), key).unwrap();
    }

    fn load(&self) -> Result<Tls, TlsError> {
        Tls::from_files(self.certificate(), self.key())
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.directory);
    }
}

#[tokio::test]
async fn a_new_certificate_is_for_those_who_come_after_it() {
    let files = Files::new("swap");
    let (old, new) = (Pem::new(), Pem::new());
    files.write(&old.certificate, &old.key);
    let tls = files.load().unwrap();
    assert_eq!(tls.fingerprint(), Fingerprint::of(&old.der));
    let server = TestServer::build(Server::builder().limits(limits(|_| {})).tls(tls.clone())).await;
    let before = connect(&server, Transport::Tcp, old.client_over(&TLS13, Transport::Tcp)).await.unwrap();
    let mut before = greeted(before, Transport::Tcp).await;

    files.write(&new.certificate, &new.key);
    tls.reload().unwrap();
    assert_eq!(tls.fingerprint(), Fingerprint::of(&new.der));
    assert!(connect(&server, Transport::Tcp, old.client_over(&TLS13, Transport::Tcp)).await.is_err());
    let after = connect(&server, Transport::WebSocket, new.client_over(&TLS13, Transport::WebSocket)).await.unwrap();
    let mut after = greeted(after, Transport::WebSocket).await;
    after.join(1, Mode::BOTH, "room").await;
    before.join(1, Mode::BOTH, "room").await;
    before.send(&say::event(1, b"still here")).await;
    after.event(b"still here").await;

    // What cannot be used changes nothing.
    type Expected = fn(&TlsError) -> bool;
    let wrong: [(&str, &str, Expected); 5] = [
        (&new.certificate, &old.key, |error| matches!(error, TlsError::Mismatch(Some(_)))),
        ("", &new.key, |error| matches!(error, TlsError::NoCertificate(Some(_)))),
        (&new.certificate[..new.certificate.len() / 2], &new.key, |error| matches!(error, TlsError::NoCertificate(_))),
        (&new.certificate, "no key", |error| matches!(error, TlsError::NoKey(Some(_)))),
        (&new.certificate, &new.certificate, |error| matches!(error, TlsError::NoKey(_))),
    ];
    for (certificate, key, expected) in wrong {
        files.write(certificate, key);
        let error = tls.reload().unwrap_err();
        assert!(expected(&error), "{error:?}");
        assert!(error.to_string().contains("tickwire-tls-swap"), "{error}");
        assert!(files.load().is_err(), "nor is it taken at the start");
    }
    std::fs::remove_file(files.key()).unwrap();
    assert!(matches!(tls.reload(), Err(TlsError::Read(path, _)) if path == files.key()));
    assert_eq!(tls.fingerprint(), Fingerprint::of(&new.der));
    let again = connect(&server, Transport::Tcp, new.client_over(&TLS13, Transport::Tcp)).await.unwrap();
    drop((before, after, greeted(again, Transport::Tcp).await));
    server.finish().await;
}

#[test]
fn what_is_made_here_fits() {
    let tls = Tls::self_signed(["localhost", "::1"]).unwrap();
    assert_ne!(tls.fingerprint(), Tls::self_signed(["localhost"]).unwrap().fingerprint());
    tls.reload().unwrap();
    assert!(matches!(Tls::self_signed(["b\u{fc}cher"]), Err(TlsError::Name)));
    assert!(matches!(Tls::from_files(Path::new("/nowhere/a"), "/nowhere/b"), Err(TlsError::Read(..))));
}
