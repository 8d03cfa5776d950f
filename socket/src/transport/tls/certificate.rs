//! Certificates: read from PEM, chosen by the host that a client asks for, replaced while the server runs.

use std::{
    collections::HashMap,
    fmt, fs, io,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::provider;

/// A certificate with its chain and private key.
///
/// ```no_run
/// use riot_socket::tls::{Certificate, Certificates};
///
/// let certificates = Certificates::from(Certificate::load("chain.pem", "key.pem")?);
/// # Ok::<(), riot_socket::tls::CertificateError>(())
/// ```
#[derive(Clone)]
pub struct Certificate(pub(super) Arc<CertifiedKey>);

impl Certificate {
    /// Reads two PEM files: the chain, beginning with the certificate itself, and the key (PKCS#8, PKCS#1 or
    /// SEC1). The call blocks.
    ///
    /// # Errors
    /// [`CertificateError`], which names the file.
    pub fn load(chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, CertificateError> {
        let (chain, key) = (chain.as_ref(), key.as_ref());
        Self::new(&read(chain)?, &chain.display().to_string(), &read(key)?, &key.display().to_string())
    }

    /// Parses PEM in memory, as [`load`](Self::load) does.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        Self::new(chain, "the chain", key, "the key")
    }

    fn new(chain: &[u8], chain_name: &str, key: &[u8], key_name: &str) -> Result<Self, CertificateError> {
        let chain = certificates(chain, chain_name)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            rustls::pki_types::pem::Error::NoItemsFound => CertificateError::NoKey(key_name.into()),
            error => CertificateError::Malformed(key_name.into(), error.into()),
        })?;
        let certified = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                CertificateError::OtherKey(key_name.into(), chain_name.into())
            }
            error => CertificateError::Malformed(key_name.into(), error.into()),
        })?;
        Ok(Self(Arc::new(certified)))
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificate") // Keys are never printed.
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    fs::read(path).map_err(|error| CertificateError::Unreadable(path.display().to_string(), error))
}

fn certificates(pem: &[u8], name: &str) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| CertificateError::Malformed(name.into(), error.into()))?;
    if found.is_empty() {
        return Err(CertificateError::NoCertificate(name.into()));
    }
    Ok(found)
}

/// The error of reading a certificate.
///
/// ```
/// use riot_socket::tls::{Certificate, CertificateError};
///
/// let error = Certificate::from_pem(b"", b"").unwrap_err();
/// assert!(matches!(error, CertificateError::NoCertificate(_)));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The file cannot be read.
    #[error("cannot read {0}")]
    Unreadable(String, #[source] io::Error),
    /// The PEM has no certificate.
    #[error("no certificate in {0}")]
    NoCertificate(String),
    /// The PEM has no private key, or only one behind a passphrase.
    #[error("no private key in {0}")]
    NoKey(String),
    /// The key does not belong to the certificate.
    #[error("{0} does not belong to the certificate in {1}")]
    OtherKey(String, String),
    /// The PEM, the certificate or the key is malformed.
    #[error("{0} is malformed")]
    Malformed(String, #[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Converts for functions that return the errors of sockets. The text contains that of the cause.
impl From<CertificateError> for io::Error {
    fn from(error: CertificateError) -> Self {
        let kind = match &error {
            CertificateError::Unreadable(_, error) => error.kind(),
            _ => io::ErrorKind::InvalidData,
        };
        match std::error::Error::source(&error) {
            Some(cause) => Self::new(kind, format!("{error}: {cause}")),
            None => Self::new(kind, error),
        }
    }
}

/// The certificates of a server, by the host that a client asks for (SNI). Clones are the same.
///
/// A change applies to every handshake that begins afterwards, and to no connection that is established.
///
/// ```
/// use riot_socket::tls::{Certificate, Certificates, Tls};
///
/// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
/// # let (chain, key) = (made.cert.pem().into_bytes(), made.signing_key.serialize_pem().into_bytes());
/// let certificates = Certificates::new();
/// certificates.set("*.example.org", Certificate::from_pem(&chain, &key)?);
/// let tls = Tls::new(certificates.clone());
/// certificates.set_default(Certificate::from_pem(&chain, &key)?); // while the server runs
/// # drop(tls);
/// # Ok::<(), riot_socket::tls::CertificateError>(())
/// ```
#[derive(Clone, Default)]
pub struct Certificates(Arc<RwLock<CertificateTable>>);

#[derive(Default)]
struct CertificateTable {
    /// The certificate for clients that ask for no host, or for an unknown one.
    default: Option<Certificate>,
    /// Certificates by name in lower case. `*.` stands for one label.
    hosts: HashMap<String, Certificate>,
}

impl Certificates {
    /// Returns an empty set, with which no handshake succeeds.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the certificate for clients that ask for no host, or for an unknown one. Without it they are
    /// refused.
    pub fn set_default(&self, certificate: Certificate) {
        self.change(|table| table.default = Some(certificate));
    }

    /// Sets the certificate for clients that ask for `host`, such as `example.org` or `*.example.org`.
    pub fn set(&self, host: &str, certificate: Certificate) {
        self.change(|table| drop(table.hosts.insert(host.to_ascii_lowercase(), certificate)));
    }

    /// Removes the certificate for `host`.
    pub fn remove(&self, host: &str) {
        self.change(|table| drop(table.hosts.remove(&host.to_ascii_lowercase())));
    }

    fn change(&self, change: impl FnOnce(&mut CertificateTable)) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }

    fn find(&self, host: Option<&str>) -> Option<Certificate> {
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let found = host.map(str::to_ascii_lowercase).and_then(|host| {
            let any = || host.split_once('.').and_then(|(_, rest)| table.hosts.get(&format!("*.{rest}")));
            table.hosts.get(&host).or_else(any)
        });
        found.or(table.default.as_ref()).cloned()
    }
}

impl From<Certificate> for Certificates {
    fn from(certificate: Certificate) -> Self {
        let certificates = Self::new();
        certificates.set_default(certificate);
        certificates
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.find(hello.server_name()).map(|certificate| certificate.0)
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        f.debug_set().entries(table.hosts.keys()).finish()
    }
}

/// Root certificates, which are trusted to sign others.
///
/// ```
/// use riot_socket::tls::{Roots, TlsClient};
///
/// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
/// # let pem = made.cert.pem().into_bytes();
/// let client = TlsClient::new(Roots::from_pem(&pem)?);
/// # drop(client);
/// # Ok::<(), riot_socket::tls::CertificateError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Roots(pub(super) Arc<RootCertStore>);

impl Roots {
    /// Reads a PEM file. The call blocks.
    ///
    /// # Errors
    /// [`CertificateError`], which names the file.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, CertificateError> {
        let path = path.as_ref();
        Self::new(&read(path)?, &path.display().to_string())
    }

    /// Parses PEM in memory.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn from_pem(pem: &[u8]) -> Result<Self, CertificateError> {
        Self::new(pem, "the roots")
    }

    fn new(pem: &[u8], name: &str) -> Result<Self, CertificateError> {
        let mut store = RootCertStore::empty();
        for certificate in certificates(pem, name)? {
            let added = store.add(certificate);
            added.map_err(|error| CertificateError::Malformed(name.into(), error.into()))?;
        }
        Ok(Self(Arc::new(store)))
    }
}
