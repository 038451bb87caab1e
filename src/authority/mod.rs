//! The cluster's own authority: one key that signs the certificates of all servers of a cluster, which they show each other
//! when they connect.
//!
//! It stands alone: no root of the web is trusted, and nobody outside is asked. So a name in a certificate says only which server
//! of the cluster it is (`server3.chrysalis.internal`), and belonging to the cluster means to have a certificate of the authority.
//!
//! A server's folder of certificates has `authority.pem`, `server.pem`, `server.key`, and where the host may make certificates,
//! `authority.key`. The two keys are their owner's alone (0600). `authority.pem` may hold several certificates while an authority
//! is changed: all are trusted, and the key belongs to one of them.
//!
//! Invariants: no key is ever written over another authority's; a file is there whole or as it was; nothing here listens.

use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};

use crate::units::{ServerId, WallTime};

// What is in a certificate.
mod certificate;
// What a server shows, and whom it trusts.
mod certificates;
// What can be wrong with the files.
mod error;
// Reading the files, and writing them so that a crash leaves none in half.
mod files;

pub(crate) use certificate::day;
pub use certificate::{Certificate, peer_name, server_named_in};
pub use certificates::{Certificates, PROTOCOL};
pub use error::Error;

use error::Unusable;

/// How long an authority's certificate is valid.
const AUTHORITY_LIFE: Duration = Duration::from_secs(20 * 365 * 24 * 60 * 60);
/// How long a server's certificate is valid.
const SERVER_LIFE: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// A certificate is valid from so long before it is made, for servers whose clocks differ.
const CLOCKS_DIFFER: Duration = Duration::from_secs(60 * 60);

/// What a file of the folder is called.
pub const AUTHORITY_CERTIFICATE: &str = "authority.pem";
/// The key that signs; only where certificates are made.
pub const AUTHORITY_KEY: &str = "authority.key";
/// What the server shows.
pub const SERVER_CERTIFICATE: &str = "server.pem";
/// The key of that.
pub const SERVER_KEY: &str = "server.key";

/// An authority with its key: it can issue certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority")
            .field("fingerprint", &self.fingerprint())
            .finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes an authority in a folder, which is made if there is none, and opens it.
    ///
    /// # Errors
    /// There is one already, or the key of one, or the files cannot be written.
    pub fn make(folder: &Path) -> Result<Authority, Error> {
        files::make_folder(folder)?;
        let _alone = files::lock(folder)?;
        let (path, key_path) = (
            folder.join(AUTHORITY_CERTIFICATE),
            folder.join(AUTHORITY_KEY),
        );
        finish(folder, AUTHORITY_CERTIFICATE, AUTHORITY_KEY);
        for there in [&path, &key_path] {
            if there.exists() {
                return Err(Error::new(there, Unusable::There));
            }
        }
        let unmade = |error: rcgen::Error| Error::new(&path, Unusable::NotMade(error.to_string()));
        let key = KeyPair::generate().map_err(unmade)?;
        let mut name = DistinguishedName::new();
        // Two authorities have two names, so that a certificate of the other one is told as such.
        let mark = certificate::fingerprint(key.public_key_raw());
        name.push(
            DnType::CommonName,
            format!("Chrysalis cluster authority {}", &mark[..16]),
        );
        let mut made = valid(AUTHORITY_LIFE);
        made.distinguished_name = name;
        made.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        made.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = made.self_signed(&key).map_err(unmade)?;
        files::put_both(
            (&key_path, key.serialize_pem().as_bytes()),
            (&path, certificate.pem().as_bytes()),
        )?;
        Authority::open(folder)
    }

    /// Whether this folder has the key of an authority.
    pub fn is_in(folder: &Path) -> bool {
        folder.join(AUTHORITY_KEY).exists()
    }

    /// The authority in a folder.
    ///
    /// # Errors
    /// A file of it is missing or no use.
    pub fn open(folder: &Path) -> Result<Authority, Error> {
        finish(folder, AUTHORITY_CERTIFICATE, AUTHORITY_KEY);
        let path = folder.join(AUTHORITY_CERTIFICATE);
        let mut trusted = files::certificates(&path)?.into_iter();
        let key_path = folder.join(AUTHORITY_KEY);
        let no_key = |_| Error::new(&key_path, Unusable::NoPem);
        let key = files::key_text(&key_path)?;
        let key = KeyPair::from_pem(&key).map_err(no_key)?;
        let certificate = trusted
            .find(|it| it.has_key(key.public_key_raw()))
            .ok_or_else(|| Error::new(&key_path, Unusable::OtherKey(AUTHORITY_CERTIFICATE)))?;
        let issuer = Issuer::from_ca_cert_der(certificate.der(), key)
            .map_err(|error| Error::new(&path, Unusable::NotMade(error.to_string())))?;
        Ok(Authority {
            issuer,
            certificate,
        })
    }

    /// The authority's own certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The SHA-256 of the authority's certificate: who knows it can tell this authority from every other one.
    pub fn fingerprint(&self) -> String {
        self.certificate.fingerprint()
    }

    /// Makes a key and a certificate for a server, in the place of those that a folder may have.
    ///
    /// # Errors
    /// The files cannot be written. Then the folder has the former two, or a key whose certificate gets its name when it is loaded.
    pub fn issue(&self, server: ServerId, folder: &Path) -> Result<Certificate, Error> {
        files::make_folder(folder)?;
        let _alone = files::lock(folder)?;
        let path = folder.join(SERVER_CERTIFICATE);
        let unmade = |error: rcgen::Error| Error::new(&path, Unusable::NotMade(error.to_string()));
        let key = KeyPair::generate().map_err(unmade)?;
        let mut name = DistinguishedName::new();
        name.push(DnType::CommonName, format!("Chrysalis server {server}"));
        let mut issued = valid(SERVER_LIFE);
        issued.subject_alt_names = CertificateParams::new(vec![peer_name(server)])
            .map_err(unmade)?
            .subject_alt_names;
        issued.distinguished_name = name;
        issued.is_ca = IsCa::ExplicitNoCa;
        issued.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        issued.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        issued.use_authority_key_identifier_extension = true;
        let certificate = issued.signed_by(&key, &self.issuer).map_err(unmade)?;
        files::put_both(
            (&folder.join(SERVER_KEY), key.serialize_pem().as_bytes()),
            (&path, certificate.pem().as_bytes()),
        )?;
        Certificate::read(certificate.der().clone())
            .ok_or_else(|| Error::new(&path, Unusable::NoPem))
    }

    /// Copies the authority with its key into another folder, which may have it already: that host makes certificates from then on.
    ///
    /// # Errors
    /// There is another authority, or a newer list of it with another key; or the files cannot be read or written.
    pub fn copy(from: &Path, to: &Path) -> Result<(), Error> {
        // Its key is that of its certificate, or nothing is touched.
        let authority = Authority::open(from)?;
        let key = files::key_text(&from.join(AUTHORITY_KEY))?;
        let key_path = to.join(AUTHORITY_KEY);
        if let Ok(held) = Authority::open(to) {
            let known = trusted_in(from)?;
            let is_newer = trusted_in(to)?.iter().any(|it| !known.contains(it));
            if is_newer && held.certificate != authority.certificate {
                return Err(Error::new(&key_path, Unusable::There));
            }
        }
        trust(from, to)?;
        let _alone = files::lock(to)?;
        files::put_key(&key_path, key.as_bytes())
    }
}

/// Adds the authorities of one folder to those that another one trusts, which is made if there is none: what a host needs that makes
/// no certificates.
///
/// # Errors
/// There is another authority, or the files cannot be read or written.
pub fn trust(from: &Path, to: &Path) -> Result<(), Error> {
    let folder = to;
    let (from, to) = (
        from.join(AUTHORITY_CERTIFICATE),
        to.join(AUTHORITY_CERTIFICATE),
    );
    let text = files::text(&from)?;
    let trusted = files::certificates(&from)?;
    files::make_folder(folder)?;
    let _alone = files::lock(folder)?;
    if !to.exists() {
        return files::put(&to, text.as_bytes());
    }
    let there = files::certificates(&to)?;
    // While an authority is changed one of the two lists has the other one's.
    if !there.iter().any(|it| trusted.contains(it)) {
        return Err(Error::new(&to, Unusable::There));
    }
    if trusted.iter().all(|it| there.contains(it)) {
        return Ok(());
    }
    // The list that has all; where each has one that the other has not, both, some of them twice.
    let text = match there.iter().all(|it| trusted.contains(it)) {
        true => text,
        false => format!("{}\n{text}", files::text(&to)?),
    };
    files::put(&to, text.as_bytes())
}

/// Goes on where somebody was cut off between the names of a key and of its certificate: the certificate gets its own.
fn finish(folder: &Path, certificate: &str, key: &str) {
    let path = folder.join(certificate);
    let new = files::beside(&path);
    if !new.exists() {
        return;
    }
    let fits = |path: &Path| {
        let key = files::key_text(&folder.join(key)).ok()?;
        let key = KeyPair::from_pem(&key).ok()?;
        let all = files::certificates(path).ok()?;
        Some(all.iter().any(|it| it.has_key(key.public_key_raw())))
    };
    if fits(&path) != Some(true) && fits(&new) == Some(true) {
        // What cannot be named is told when it is loaded.
        let _named = files::name_certificate(&path);
    }
}

/// The authorities that a folder trusts.
///
/// # Errors
/// The file is missing or no use.
pub fn trusted_in(folder: &Path) -> Result<Vec<Certificate>, Error> {
    files::certificates(&folder.join(AUTHORITY_CERTIFICATE))
}

/// A certificate that is valid from now on.
fn valid(life: Duration) -> CertificateParams {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = Duration::from_secs(now.unwrap_or_default().as_secs());
    let at = |since: Duration| date_time_ymd(1970, 1, 1) + since;
    let mut params = CertificateParams::default();
    params.not_before = at(now.saturating_sub(CLOCKS_DIFFER));
    params.not_after = at(now + life);
    params
}

/// The present time of day.
fn now() -> WallTime {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    WallTime(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
