//! The server's side of TLS.

use std::{fmt, io, sync::Arc};

use rustls::{
    ServerConfig, ServerConnection,
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};

use super::{Certificates, Roots, invalid, provider};

/// TLS for every connection of a server, 1.2 and 1.3. As a handshake it also turns a single connection into one over
/// TLS when a protocol says so, as SMTP does by STARTTLS:
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
#[must_use = "goes into `Server::tls`"]
pub struct Tls {
    config: Arc<ServerConfig>,
}

/// Whether clients have to say who they are.
#[derive(Clone, Debug)]
pub enum ClientCertificates {
    /// They present a certificate that leads to one of these, or are refused.
    Required(Roots),
    /// They may present a certificate; one that does not lead to these is refused.
    Optional(Roots),
}

impl Tls {
    /// With one certificate, or several to choose from by the host a client asks for.
    pub fn new(certificates: impl Into<Certificates>) -> Self {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("the provider has both versions");
        let config = builder.with_no_client_auth().with_cert_resolver(Arc::new(certificates.into()));
        Self { config: Arc::new(config) }
    }

    /// With a configuration of rustls, which has more to choose from.
    pub fn from_config(config: Arc<ServerConfig>) -> Self {
        Self { config }
    }

    /// Asks clients for certificates; not asked by default.
    ///
    /// # Errors
    /// If the roots are none.
    pub fn client_certificates(self, clients: ClientCertificates) -> io::Result<Self> {
        let verifier: Arc<dyn ClientCertVerifier> = match clients {
            ClientCertificates::Required(roots) => {
                WebPkiClientVerifier::builder_with_provider(roots.0, provider()).build()
            }
            ClientCertificates::Optional(roots) => {
                let builder = WebPkiClientVerifier::builder_with_provider(roots.0, provider());
                builder.allow_unauthenticated().build()
            }
        }
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(invalid)?;
        let config = builder.with_client_cert_verifier(verifier);
        let mut config = config.with_cert_resolver(self.config.cert_resolver.clone());
        config.alpn_protocols.clone_from(&self.config.alpn_protocols);
        Ok(Self { config: Arc::new(config) })
    }

    /// The protocols above, the preferred one first; default none. A client that knows others only is refused; one
    /// that says nothing is not.
    pub fn alpn<P: AsRef<[u8]>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        let protocols = protocols.into_iter().map(|protocol| protocol.as_ref().into());
        Arc::make_mut(&mut self.config).alpn_protocols = protocols.collect();
        self
    }

    /// The configuration of rustls.
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
