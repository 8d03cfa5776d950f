//! TLS, by rustls: as a [handshake](Tls) of a server, and for [clients](TlsClient), over any transport.
//!
//! ```
//! use riot_socket::{Connection, Server, tls::{Certificate, Tls, TlsInfo}};
//!
//! # fn files() -> (Vec<u8>, Vec<u8>) {
//! #     let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
//! #     (made.cert.pem().into_bytes(), made.signing_key.serialize_pem().into_bytes())
//! # }
//! # let reason = riot_actor::run(async {
//! # let (chain, key) = files();
//! let tls = Tls::new(Certificate::from_pem(&chain, &key)?).alpn(["echo"]);
//! let server = Server::bind("127.0.0.1:0")?
//!     .tls(tls)
//!     .start_link(|mut connection: Connection| async move {
//!         println!("{:?}", connection.get::<TlsInfo>().expect("the handshake inserted it").server_name);
//!         connection.write_all(b"hello").await
//!     })
//!     .await?;
//! # server.stop(std::time::Duration::ZERO).await;
//! # Ok::<(), riot_actor::Reason>(())
//! # });
//! # assert_eq!(reason, riot_actor::Reason::Normal);
//! ```
//!
//! The cryptography is ring's, also if other parts of a program choose another provider. Connections end with
//! a `close_notify`: when they are [closed](crate::Connection::close), and, as far as the system takes it,
//! when they are dropped, unless that is because of a panic.
//!
//! Keys and some lengths are random in a simulation too: a seed repeats its processes and its network, but
//! not every byte.

mod certificate;
mod client;
mod refusal;
mod server;
mod stream;
mod with_verifier;

use std::sync::Arc;

pub use certificate::{Certificate, CertificateError, Certificates, Roots};
pub use client::TlsClient;
use rustls::{
    crypto::{CryptoProvider, ring},
    pki_types::CertificateDer,
};
pub use server::{ClientCertificates, Tls};
pub(crate) use stream::TlsStream;

/// The result of a TLS handshake, which [`Connection::get`](crate::Connection::get) returns. The
/// [module](self) has an example.
///
/// ```
/// use riot_socket::{Connection, tls::TlsInfo};
///
/// async fn serve(connection: Connection) -> std::io::Result<()> {
///     if let Some(tls) = connection.get::<TlsInfo>() {
///         println!("{} with {} for {:?}", tls.version, tls.cipher_suite, tls.server_name);
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TlsInfo {
    /// The protocol agreed on by ALPN, if both sides have one in common.
    pub alpn: Option<Vec<u8>>,
    /// The host that the client asked for by SNI, on the server's side.
    pub server_name: Option<String>,
    /// The peer's certificates, its own first. Clients present them only to servers that ask for them.
    pub peer_certificates: Vec<CertificateDer<'static>>,
    /// The version, such as `TLSv1_3`.
    pub version: String,
    /// The cipher suite, such as `TLS13_AES_256_GCM_SHA384`.
    pub cipher_suite: String,
}

impl TlsInfo {
    fn of(session: &rustls::Connection) -> Self {
        let server_name = match session {
            rustls::Connection::Server(server) => server.server_name().map(Into::into),
            rustls::Connection::Client(_) => None,
        };
        let version = session.protocol_version().map(|version| format!("{version:?}"));
        let suite = session.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite()));
        let certificates = session.peer_certificates().unwrap_or_default();
        Self {
            alpn: session.alpn_protocol().map(Into::into),
            server_name,
            peer_certificates: certificates
                .iter()
                .map(|certificate| certificate.clone().into_owned())
                .collect(),
            version: version.unwrap_or_default(),
            cipher_suite: suite.unwrap_or_default(),
        }
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn invalid(error: rustls::Error) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, error)
}
