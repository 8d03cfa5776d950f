//! The refusal of a peer during the handshake: the error and the alert that the peer is told.

use std::{error::Error, fmt, io};

use rustls::AlertDescription;

/// The type of records that hold an alert (RFC 8446 §5.1).
const ALERT: u8 = 21;

/// The length of the head of a record: type, version, length.
const HEAD_BYTES: usize = 5;

/// The error of a handshake that this side has refused.
#[derive(Debug)]
pub(super) struct Refusal {
    error: rustls::Error,
    /// The alert that the peer is told, if there is one.
    alert: Option<AlertDescription>,
}

impl Refusal {
    /// Returns the refusal for an error, with the alert among the records to be sent.
    pub(super) fn new(error: rustls::Error, records: &[u8]) -> Self {
        let alert = clear_alert(records).or_else(|| encrypted_alert(&error));
        Self { error, alert }
    }
}

/// Finds the alert that is sent in clear text, as all are before there are keys.
fn clear_alert(mut records: &[u8]) -> Option<AlertDescription> {
    let mut found = None;
    while let Some((&[kind, _, _, high, low], rest)) = records.split_first_chunk::<HEAD_BYTES>() {
        let (content, next) = rest.split_at_checked(u16::from_be_bytes([high, low]).into())?;
        if let (ALERT, &[_, description]) = (kind, content) {
            found = Some(AlertDescription::from(description));
        }
        records = next;
    }
    found
}

/// Returns the alert for an error that is found when there are keys, so that the alert is encrypted.
fn encrypted_alert(error: &rustls::Error) -> Option<AlertDescription> {
    match error {
        rustls::Error::NoCertificatesPresented => Some(AlertDescription::CertificateRequired),
        rustls::Error::InvalidCertificate(error) => Some(error.clone().into()),
        rustls::Error::InvalidMessage(error) => Some((*error).into()),
        rustls::Error::NoApplicationProtocol => Some(AlertDescription::NoApplicationProtocol),
        rustls::Error::DecryptError => Some(AlertDescription::BadRecordMac),
        _ => None,
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.alert {
            Some(alert) => write!(f, "{} (the peer was told {alert:?})", self.error),
            None => self.error.fmt(f),
        }
    }
}

impl Error for Refusal {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

impl From<Refusal> for io::Error {
    fn from(refusal: Refusal) -> Self {
        Self::new(io::ErrorKind::InvalidData, refusal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_is_found_among_other_records() {
        let refused = AlertDescription::from(120);
        assert_eq!(clear_alert(&[22, 3, 3, 0, 1, 9, 21, 3, 3, 0, 2, 2, 120]), Some(refused));
        assert_eq!(clear_alert(&[21, 3, 3, 0, 3, 2, 120, 0]), None, "an encrypted one");
        for cut in 0..7 {
            assert_eq!(clear_alert(&[21, 3, 3, 0, 2, 2, 120][..cut]), None);
        }
    }
}
