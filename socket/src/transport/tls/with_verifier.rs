//! A configuration of rustls with another verifier of client certificates, and everything else as it was.
//!
//! rustls sets the verifier only while a configuration is built, and shows neither the verifier nor the
//! versions of one that is built. So the versions are found by offering each of them to the configuration.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, Error, PeerIncompatible, RootCertStore, ServerConfig,
    SupportedProtocolVersion,
    server::{
        Acceptor, ClientHello, ProducesTickets, ResolvesServerCert, StoresServerSessions,
        danger::ClientCertVerifier,
    },
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};

/// Returns a copy of `config` that verifies the certificates of clients by `verifier`. `policy` stands for
/// the verifier: a session is resumed only under the policy that it began with.
///
/// # Errors
/// If the configuration has no version of TLS that its provider supports.
pub(super) fn with_verifier(
    config: &ServerConfig,
    verifier: Arc<dyn ClientCertVerifier>,
    policy: Policy,
) -> Result<ServerConfig, Error> {
    let provider = config.crypto_provider().clone();
    let builder = ServerConfig::builder_with_details(provider, config.time_provider.clone())
        .with_protocol_versions(&versions(config))?
        .with_client_cert_verifier(verifier);
    let mut changed = builder.with_cert_resolver(config.cert_resolver.clone());
    changed.ignore_client_order = config.ignore_client_order;
    changed.max_fragment_size = config.max_fragment_size;
    changed.alpn_protocols.clone_from(&config.alpn_protocols);
    changed.key_log = config.key_log.clone();
    changed.enable_secret_extraction = config.enable_secret_extraction;
    changed.max_early_data_size = config.max_early_data_size;
    changed.send_half_rtt_data = config.send_half_rtt_data;
    changed.send_tls13_tickets = config.send_tls13_tickets;
    changed.max_tls13_tickets = config.max_tls13_tickets;
    changed.require_ems = config.require_ems;
    changed.cert_compressors.clone_from(&config.cert_compressors);
    changed.cert_compression_cache = config.cert_compression_cache.clone();
    changed.cert_decompressors.clone_from(&config.cert_decompressors);
    changed.session_storage = Arc::new(PolicySessions { inner: config.session_storage.clone(), policy });
    changed.ticketer = Arc::new(PolicyTickets { inner: config.ticketer.clone(), policy });
    Ok(changed)
}

/// Returns the versions that are enabled.
pub(super) fn versions(config: &ServerConfig) -> Vec<&'static SupportedProtocolVersion> {
    [&TLS13, &TLS12].into_iter().filter(|version| accepts(config, version)).collect()
}

/// Returns whether the configuration accepts a client that offers this version only.
fn accepts(config: &ServerConfig, version: &'static SupportedProtocolVersion) -> bool {
    let provider = config.crypto_provider().clone();
    let Ok(client) = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]) else {
        return false;
    };
    let client = client.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let mut probed = config.clone();
    probed.max_fragment_size = None;
    // The version is chosen before the certificate, without which the attempt ends.
    probed.cert_resolver = Arc::new(NoCertificate);
    let mut hello = Vec::new();
    let host = "localhost".try_into().expect("a valid name");
    let offered = ClientConnection::new(Arc::new(client), host).and_then(|mut client| {
        client.write_tls(&mut hello).map_err(|error| Error::General(error.to_string()))
    });
    let mut acceptor = Acceptor::default();
    if offered.is_err() || acceptor.read_tls(&mut &hello[..]).is_err() {
        return false;
    }
    match acceptor.accept() {
        Ok(Some(accepted)) => !matches!(
            accepted.into_connection(Arc::new(probed)),
            Err((Error::PeerIncompatible(PeerIncompatible::Tls12NotOfferedOrEnabled), _))
        ),
        _ => false,
    }
}

#[derive(Debug)]
struct NoCertificate;

impl ResolvesServerCert for NoCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}

/// Stands for a policy for client certificates.
///
/// A resumed session is not verified again. Configurations with different policies may share their storage of
/// sessions, or the keys of their tickets, so both are marked with the policy: else a client without a
/// certificate could begin a session with one server, and resume it with another that requires one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Policy([u8; 8]);

impl Policy {
    pub(super) fn new(required: bool, roots: &RootCertStore) -> Self {
        let mut hasher = DefaultHasher::new();
        required.hash(&mut hasher);
        for root in &roots.roots {
            root.subject.hash(&mut hasher);
            root.subject_public_key_info.hash(&mut hasher);
        }
        Self(hasher.finish().to_be_bytes())
    }

    fn mark(self, bytes: &[u8]) -> Vec<u8> {
        [&self.0, bytes].concat()
    }

    fn unmark(self, bytes: &[u8]) -> Option<Vec<u8>> {
        bytes.strip_prefix(&self.0[..]).map(Into::into)
    }
}

/// The sessions of one policy in a storage.
#[derive(Debug)]
struct PolicySessions {
    inner: Arc<dyn StoresServerSessions>,
    policy: Policy,
}

impl StoresServerSessions for PolicySessions {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.inner.put(key, self.policy.mark(&value))
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.policy.unmark(&self.inner.get(key)?)
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.policy.unmark(&self.inner.take(key)?)
    }

    fn can_cache(&self) -> bool {
        self.inner.can_cache()
    }
}

/// The tickets of one policy.
#[derive(Debug)]
struct PolicyTickets {
    inner: Arc<dyn ProducesTickets>,
    policy: Policy,
}

impl ProducesTickets for PolicyTickets {
    fn enabled(&self) -> bool {
        self.inner.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.inner.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.inner.encrypt(&self.policy.mark(plain))
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.policy.unmark(&self.inner.decrypt(cipher)?)
    }
}

#[cfg(test)]
mod tests {
    use rustls::{
        crypto::{CryptoProvider, ring},
        server::{NoServerSessionStorage, WebPkiClientVerifier},
    };

    use super::*;
    use crate::transport::tls::{Certificate, Certificates};

    fn certificates() -> (Certificates, RootCertStore) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let key = made.signing_key.serialize_pem();
        let certificate = Certificate::from_pem(made.cert.pem().as_bytes(), key.as_bytes());
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).expect("a root");
        (certificate.expect("the PEM is valid").into(), roots)
    }

    fn config(provider: CryptoProvider, versions: &[&'static SupportedProtocolVersion]) -> ServerConfig {
        ServerConfig::builder_with_provider(provider.into())
            .with_protocol_versions(versions)
            .expect("the provider has the versions")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(certificates().0))
    }

    fn verified(config: &ServerConfig) -> ServerConfig {
        let (_, roots) = certificates();
        let policy = Policy::new(true, &roots);
        let roots = Arc::new(roots);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, config.crypto_provider().clone());
        with_verifier(config, verifier.build().expect("a verifier"), policy).expect("the same versions")
    }

    #[test]
    fn the_enabled_versions_are_found() {
        for enabled in [&[&TLS12][..], &[&TLS13], &[&TLS13, &TLS12]] {
            let mut config = config(ring::default_provider(), enabled);
            config.max_fragment_size = Some(1); // not possible; the session says so later
            assert_eq!(versions(&config), enabled);
            assert_eq!(versions(&verified(&config)), enabled);
        }
        let mut provider = ring::default_provider();
        provider.cipher_suites.retain(|suite| suite.tls13().is_none());
        assert_eq!(versions(&config(provider, &[&TLS13, &TLS12])), [&TLS12]);
    }

    /// Checks the text of all fields, so that a field which a later rustls adds is not forgotten.
    #[test]
    fn no_field_is_forgotten() {
        let mut provider = ring::default_provider();
        provider.cipher_suites.truncate(1);
        let mut before = config(provider, &[&TLS13]);
        before.ignore_client_order = true;
        before.max_fragment_size = Some(1234);
        before.session_storage = Arc::new(NoServerSessionStorage {});
        before.alpn_protocols = vec![b"one".to_vec()];
        before.key_log = Arc::new(rustls::KeyLogFile::new());
        before.enable_secret_extraction = true;
        before.max_early_data_size = 77;
        before.send_half_rtt_data = true;
        before.send_tls13_tickets = 0;
        before.max_tls13_tickets = 9;
        before.require_ems = true;
        before.cert_compression_cache = Arc::new(rustls::compress::CompressionCache::Disabled);
        // Fields that differ by intention are set apart: they are replaced in both texts.
        let text = |config: &ServerConfig| format!("{config:#?}");
        let after = verified(&before);
        let again = verified(&after);
        let mut lines = (text(&before), text(&after));
        for marked in [&after, &again] {
            assert!(!marked.session_storage.can_cache() && !marked.ticketer.enabled());
        }
        let without = |text: &mut String, from: &str, to: &str| {
            let start = text.find(from).expect("the field is there");
            let end = start + text[start..].find(to).expect("the next field is there");
            text.replace_range(start..end, "");
        };
        for text in [&mut lines.0, &mut lines.1] {
            without(text, "    session_storage:", "    cert_resolver:");
            without(text, "    verifier:", "    key_log:");
        }
        assert_eq!(lines.0, lines.1);
    }

    #[test]
    fn a_session_of_another_policy_is_not_found() {
        let (_, roots) = certificates();
        let inner = rustls::server::ServerSessionMemoryCache::new(10);
        let one = PolicySessions { inner: inner.clone(), policy: Policy::new(true, &roots) };
        let other = PolicySessions { inner: inner.clone(), policy: Policy::new(false, &roots) };
        for key in [b"a", b"b"] {
            assert!(one.put(key.to_vec(), b"session".to_vec()));
            assert_eq!(one.get(key).as_deref(), Some(&b"session"[..]));
            assert_eq!(other.get(key), None);
        }
        assert_eq!((other.take(b"a"), one.take(b"b")), (None, Some(b"session".to_vec())));
        inner.put(b"c".to_vec(), b"of no policy".to_vec());
        assert_eq!(one.get(b"c"), None);
        let keys = ring::Ticketer::new().expect("random keys");
        let ticket_of = |policy| PolicyTickets { inner: keys.clone(), policy };
        let ticket = ticket_of(one.policy).encrypt(b"ticket").expect("the keys encrypt");
        assert_eq!(ticket_of(one.policy).decrypt(&ticket).as_deref(), Some(&b"ticket"[..]));
        assert_eq!(ticket_of(other.policy).decrypt(&ticket), None);
    }
}
