//! The configuration of TLS clients.

use std::{fmt, io, sync::Arc};

use rustls::{ClientConfig, ClientConnection, client::ResolvesClientCert, pki_types::ServerName};

use super::{Certificate, Roots, invalid, provider};

/// The configuration of TLS 1.2 and 1.3 for connections to servers.
///
/// ```no_run
/// use riot_socket::{Connection, tls::{Roots, TlsClient}};
///
/// # let reason = riot_actor::run(async {
/// let tls = TlsClient::new(Roots::load("/etc/ssl/certs/ca-certificates.crt")?);
/// let mut connection = tls.connect(Connection::connect("example.org:443").await?, "example.org").await?;
/// connection.write_all(b"GET / HTTP/1.0\r\nHost: example.org\r\n\r\n").await?;
/// # Ok::<(), riot_actor::Reason>(())
/// # });
/// # drop(reason);
/// ```
#[derive(Clone)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
}

impl TlsClient {
    /// Returns a client that trusts servers whose certificates lead to one of these roots.
    #[must_use]
    pub fn new(roots: Roots) -> Self {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("the provider has both versions");
        Self { config: Arc::new(builder.with_root_certificates(roots.0).with_no_client_auth()) }
    }

    /// Returns a client with a configuration of rustls, which has more options.
    #[must_use]
    pub fn from_config(config: Arc<ClientConfig>) -> Self {
        Self { config }
    }

    /// Sets the certificate to present to servers that ask for one; default none.
    #[must_use]
    pub fn certificate(mut self, certificate: Certificate) -> Self {
        Arc::make_mut(&mut self.config).client_auth_cert_resolver = Arc::new(SingleCertificate(certificate));
        self
    }

    /// Sets the protocols to offer by ALPN, the preferred one first; default none.
    #[must_use]
    pub fn alpn<P: AsRef<[u8]>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        let protocols = protocols.into_iter().map(|protocol| protocol.as_ref().into());
        Arc::make_mut(&mut self.config).alpn_protocols = protocols.collect();
        self
    }

    pub(crate) fn session(&self, host: &str) -> io::Result<rustls::Connection> {
        let host = ServerName::try_from(host.to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        Ok(ClientConnection::new(self.config.clone(), host).map_err(invalid)?.into())
    }
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClient").field("alpn", &self.config.alpn_protocols).finish_non_exhaustive()
    }
}

/// Presents one certificate to every server.
#[derive(Debug)]
struct SingleCertificate(Certificate);

impl ResolvesClientCert for SingleCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<rustls::sign::CertifiedKey>> {
        Some(self.0.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}
