//! The configuration of TLS servers.

use std::{fmt, io, sync::Arc};

use rustls::{ServerConfig, ServerConnection, server::WebPkiClientVerifier};

use super::{
    Certificates, Roots, invalid, provider,
    with_verifier::{Policy, with_verifier},
};

/// The configuration of TLS 1.2 and 1.3 for the connections of a server.
///
/// As a [handshake](crate::Handshake) it also turns a single connection into one over TLS when a protocol
/// says so, as SMTP does by STARTTLS:
///
/// ```
/// # use std::io;
/// # use riot_socket::{Connection, Handshake, tls::Tls};
/// async fn serve(mut connection: Connection, tls: Tls) -> io::Result<()> {
///     let mut line = [0; 9];
///     connection.read_exact(&mut line).await?;
///     if &line == b"STARTTLS\n" {
///         connection.write_all(b"go ahead\n").await?;
///         connection = tls.handshake(connection).await?;
///     }
///     connection.write_all(b"hello\n").await
/// }
/// ```
#[derive(Clone)]
#[must_use = "this does nothing until it is given to `Server::tls`"]
pub struct Tls {
    config: Arc<ServerConfig>,
}

/// The policy for certificates of clients; see [`Tls::client_certificates`].
///
/// ```
/// use riot_socket::tls::{Certificate, ClientCertificates, Roots, Tls};
///
/// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
/// # let (chain, key) = (made.cert.pem().into_bytes(), made.signing_key.serialize_pem().into_bytes());
/// let clients = ClientCertificates::Required(Roots::from_pem(&chain)?);
/// let tls = Tls::new(Certificate::from_pem(&chain, &key)?).client_certificates(clients)?;
/// # drop(tls);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub enum ClientCertificates {
    /// Clients must present a certificate that leads to one of these roots, or are refused.
    Required(Roots),
    /// Clients may present a certificate. One that does not lead to these roots is refused.
    Optional(Roots),
}

impl Tls {
    /// Returns a configuration with one certificate, or several by the host that a client asks for.
    pub fn new(certificates: impl Into<Certificates>) -> Self {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("the provider has both versions");
        let config = builder.with_no_client_auth().with_cert_resolver(Arc::new(certificates.into()));
        Self { config: Arc::new(config) }
    }

    /// Returns a configuration of rustls, which has more options.
    pub fn from_config(config: Arc<ServerConfig>) -> Self {
        Self { config }
    }

    /// Asks clients for certificates; by default they are not asked. Every other setting stays as it is: the
    /// versions, the provider of cryptography, tickets, protocols.
    ///
    /// A session that began under another policy for certificates is not resumed, also if the configurations
    /// share their tickets or their storage of sessions: a resumed session is not verified again.
    ///
    /// # Errors
    /// If the set of roots is empty.
    pub fn client_certificates(self, clients: ClientCertificates) -> io::Result<Self> {
        let provider = self.config.crypto_provider().clone();
        let (required, roots) = match clients {
            ClientCertificates::Required(roots) => (true, roots.0),
            ClientCertificates::Optional(roots) => (false, roots.0),
        };
        let policy = Policy::new(required, &roots);
        let builder = WebPkiClientVerifier::builder_with_provider(roots, provider);
        let builder = if required { builder } else { builder.allow_unauthenticated() };
        let verifier = builder.build().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let config = with_verifier(&self.config, verifier, policy).map_err(invalid)?;
        Ok(Self { config: Arc::new(config) })
    }

    /// Sets the protocols to agree on by ALPN, the preferred one first; by default those that the protocol of
    /// the server [states](crate::Protocol::alpn). A client that offers only other protocols is refused with
    /// the alert `no_application_protocol` (RFC 7301 §3.2); a client that offers none is not. Where there are
    /// no names at all, the server agrees on none.
    pub fn alpn<P: AsRef<[u8]>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        let protocols = protocols.into_iter().map(|protocol| protocol.as_ref().into());
        Arc::make_mut(&mut self.config).alpn_protocols = protocols.collect();
        self
    }

    /// Returns the configuration of rustls.
    #[must_use]
    pub fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    pub(crate) fn session(&self) -> io::Result<rustls::Connection> {
        Ok(ServerConnection::new(self.config.clone()).map_err(invalid)?.into())
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("alpn", &self.config.alpn_protocols).finish_non_exhaustive()
    }
}
