//! What is in a certificate: whose it is and from when to when it is valid. Who signed it is not looked at here.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use ring::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

use crate::units::{ServerId, WallTime};

/// Behind the server's own part of its name. The domain `internal` is nobody's.
const DOMAIN: &str = ".chrysalis.internal";

/// What a server is called in its certificate.
pub fn peer_name(server: ServerId) -> String {
    format!("server{server}{DOMAIN}")
}

/// Which server is called so.
fn server_called(name: &str) -> Option<ServerId> {
    let id = name.strip_suffix(DOMAIN)?.strip_prefix("server")?;
    let server = ServerId(id.parse().ok()?);
    // One server has one name: `server03` is none.
    (peer_name(server) == name).then_some(server)
}

/// The server that a certificate names.
pub fn server_named_in(certificate: &[u8]) -> Option<ServerId> {
    let (_, parsed) = parse_x509_certificate(certificate).ok()?;
    let names = parsed.subject_alternative_name().ok()??;
    match names.value.general_names.as_slice() {
        [GeneralName::DNSName(name)] => server_called(name),
        _ => None,
    }
}

/// One certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    der: CertificateDer<'static>,
    /// The first moment at which it is valid.
    begins: WallTime,
    /// The last one.
    ends: WallTime,
    public_key: Vec<u8>,
}

impl Certificate {
    /// What is in these bytes, if they are a certificate.
    pub(super) fn read(der: CertificateDer<'static>) -> Option<Certificate> {
        let (_, parsed) = parse_x509_certificate(&der).ok()?;
        let moment = |seconds: i64| WallTime(seconds.saturating_mul(1000));
        let begins = moment(parsed.validity().not_before.timestamp());
        let ends = moment(parsed.validity().not_after.timestamp());
        let public_key = parsed.public_key().subject_public_key.data.to_vec();
        Some(Certificate {
            der,
            begins,
            ends,
            public_key,
        })
    }

    pub(super) fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// Whether it is about this public key.
    pub(super) fn has_key(&self, public_key: &[u8]) -> bool {
        self.public_key == public_key
    }

    /// The server that it names.
    pub fn server(&self) -> Option<ServerId> {
        server_named_in(&self.der)
    }

    /// The first moment at which it is valid.
    pub fn begins(&self) -> WallTime {
        self.begins
    }

    /// The last moment at which it is valid.
    pub fn ends(&self) -> WallTime {
        self.ends
    }

    /// From when on it is to be renewed: the last third of its life.
    pub fn renewed_from(&self) -> WallTime {
        let life = self.ends.0.saturating_sub(self.begins.0);
        WallTime(self.ends.0.saturating_sub(life / 3))
    }

    /// Its SHA-256, in hexadecimal.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.der)
    }
}

/// The SHA-256 of some bytes, in hexadecimal.
pub(super) fn fingerprint(bytes: &[u8]) -> String {
    let hash = digest(&SHA256, bytes);
    hash.as_ref().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A moment for people, in UTC.
pub(crate) fn day(at: WallTime) -> String {
    match DateTime::<Utc>::from_timestamp_millis(at.0) {
        Some(time) => time.format("%Y-%m-%d %H:%M UTC").to_string(),
        None => "an unknown time".to_owned(),
    }
}
