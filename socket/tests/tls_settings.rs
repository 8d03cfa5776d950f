//! No setting of a TLS server is forgotten, in whatever order they are made.
#![cfg(feature = "tls")]

mod common;

use std::{io, process::Command, sync::Arc, time::Duration};

use common::{echo, run};
use riot_actor::{Reason, runtime::blocking, simulation::Simulation};
use riot_socket::{
    Connection, Server,
    memory::Listener,
    tls::{Certificate, ClientCertificates, Roots, Tls, TlsClient, TlsInfo},
};
use rustls::{
    ServerConfig, SupportedProtocolVersion,
    crypto::ring,
    server::NoServerSessionStorage,
    version::{TLS12, TLS13},
};

struct Pair {
    chain: String,
    key: String,
}

impl Pair {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        Self { chain: made.cert.pem(), key: made.signing_key.serialize_pem() }
    }

    fn roots(&self) -> Roots {
        Roots::from_pem(self.chain.as_bytes()).expect("the PEM is valid")
    }

    /// Returns a configuration with one version, one cipher suite and no tickets.
    fn config(&self, version: &'static SupportedProtocolVersion) -> Arc<ServerConfig> {
        let mut provider = ring::default_provider();
        let suite = if version == &TLS13 {
            ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256
        } else {
            ring::cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
        };
        provider.cipher_suites = vec![suite];
        let certificate = Certificate::from_pem(self.chain.as_bytes(), self.key.as_bytes());
        let certificates = riot_socket::tls::Certificates::from(certificate.expect("the PEM is valid"));
        let builder = ServerConfig::builder_with_provider(provider.into()).with_protocol_versions(&[version]);
        let mut config = builder
            .expect("the provider has the version")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(certificates));
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.into()
    }

    fn client(&self, versions: &[&'static SupportedProtocolVersion]) -> TlsClient {
        let mut roots = rustls::RootCertStore::empty();
        let certificate =
            <rustls::pki_types::CertificateDer<'_> as rustls::pki_types::pem::PemObject>::from_pem_slice(
                self.chain.as_bytes(),
            );
        roots.add(certificate.expect("the PEM is valid")).expect("a root");
        let builder = rustls::ClientConfig::builder_with_provider(ring::default_provider().into())
            .with_protocol_versions(versions)
            .expect("the provider has the versions");
        TlsClient::from_config(builder.with_root_certificates(roots).with_no_client_auth().into())
    }
}

/// Returns the configuration with every order of the builder's calls.
fn orders(pair: &Pair, version: &'static SupportedProtocolVersion) -> io::Result<Vec<Tls>> {
    let start = || Tls::from_config(pair.config(version));
    let optional = || ClientCertificates::Optional(pair.roots());
    let required = || ClientCertificates::Required(pair.roots());
    Ok(vec![
        start().alpn(["a"]),
        start().client_certificates(optional())?,
        start().client_certificates(optional())?.alpn(["a"]),
        start().alpn(["a"]).client_certificates(optional())?,
        start().client_certificates(required())?.client_certificates(optional())?,
        start().alpn(["b"]).client_certificates(optional())?.alpn(["a"]).client_certificates(optional())?,
    ])
}

#[test]
fn b18_other_settings_stay_when_one_is_made() {
    for (only, other) in [(&TLS13, &TLS12), (&TLS12, &TLS13)] {
        Simulation::sweep(0..2, move || async move {
            let pair = Pair::new();
            for tls in orders(&pair, only)? {
                let config = tls.config().clone();
                assert_eq!(config.send_tls13_tickets, 0);
                assert!(!config.session_storage.can_cache(), "no session is kept");
                assert_eq!(config.crypto_provider().cipher_suites.len(), 1);
                let listener = Listener::new();
                Server::listen(listener.clone()).tls(tls).start_link(echo).await?;
                let client = pair.client(&[&TLS12, &TLS13]).connect(listener.connect()?, "localhost").await?;
                let info = client.get::<TlsInfo>().expect("the handshake inserted it");
                assert_eq!(info.version, if only == &TLS13 { "TLSv1_3" } else { "TLSv1_2" });
                assert!(info.cipher_suite.contains("CHACHA20_POLY1305"), "{}", info.cipher_suite);
                let refused = pair.client(&[other]).connect(listener.connect()?, "localhost").await;
                assert_eq!(refused.expect_err("not a version of it").kind(), io::ErrorKind::InvalidData);
            }
            Ok::<(), Reason>(())
        });
    }
}

/// Returns whether `openssl s_client` establishes a session with these arguments; `None` where there is no
/// openssl.
async fn openssl(port: u16, arguments: &'static [&'static str]) -> Option<bool> {
    let output = blocking(move || {
        let mut command = Command::new("openssl");
        let address = format!("127.0.0.1:{port}");
        command.args(["s_client", "-connect", &address]).args(arguments).stdin(std::process::Stdio::null());
        command.output()
    });
    output.await.ok().map(|output| output.status.success())
}

#[test]
fn b18_openssl_is_refused_a_version_that_is_off() {
    run(async {
        let pair = Pair::new();
        for tls in orders(&pair, &TLS13)? {
            let server = Server::bind("127.0.0.1:0")?.tls(tls).start_link(echo).await?;
            let port = server.local_addr().port();
            let (old, new) = (openssl(port, &["-tls1_2"]).await, openssl(port, &["-tls1_3"]).await);
            if old.is_none() {
                eprintln!("skipped: there is no openssl");
            }
            assert!(old != Some(true) && new != Some(false), "{old:?} {new:?}");
            server.stop(Duration::ZERO).await;
        }
        Ok(())
    });
}

/// Counts the sessions that a client of this configuration resumes: a session that began without a
/// certificate must not be resumed where one is required.
#[test]
fn b18_a_session_is_not_resumed_under_another_policy() {
    for tickets in [false, true] {
        Simulation::sweep(0..2, move || async move {
            let pair = Pair::new();
            let certificate =
                Certificate::from_pem(pair.chain.as_bytes(), pair.key.as_bytes()).expect("the PEM is valid");
            let mut config = ServerConfig::clone(Tls::new(certificate).config());
            if tickets {
                config.ticketer = ring::Ticketer::new().expect("random keys");
            }
            let open = Tls::from_config(config.into());
            let closed = open.clone().client_certificates(ClientCertificates::Required(pair.roots()))?;
            let client = TlsClient::new(pair.roots());
            let mut outcomes = Vec::new();
            for tls in [open.clone(), open, closed] {
                let listener = Listener::new();
                Server::listen(listener.clone()).tls(tls).start_link(echo).await?;
                let exchange = async |connection: Connection| {
                    let mut connection = client.connect(connection, "localhost").await?;
                    connection.write_all(b"x").await?;
                    connection.read_exact(&mut [0]).await
                };
                outcomes.push(exchange(listener.connect()?).await.is_ok());
            }
            assert_eq!(outcomes, [true, true, false]);
            Ok::<(), Reason>(())
        });
    }
}
