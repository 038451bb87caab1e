//! Certificates that no command of ours makes: with other names, other times, or by another authority.

use crate::harness::certificates::folder;
use crate::harness::server::Server;
use chrysalis::authority::{
    AUTHORITY_CERTIFICATE, AUTHORITY_KEY, SERVER_CERTIFICATE, SERVER_KEY, peer_name,
};
use chrysalis::units::ServerId;
use rcgen::{
    CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// A certificate to be made, of some server's.
pub(crate) struct Forged {
    /// Seconds from now.
    begins: i64,
    ends: i64,
}

/// A certificate and its key, as PEM.
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Forged {
    /// From so many seconds from now to so many.
    pub(crate) fn lasting(begins: i64, ends: i64) -> Forged {
        Forged { begins, ends }
    }

    /// Signed by the authority in this folder, for server `i`.
    pub(crate) fn by(&self, authority: &Path, i: usize) -> Pair {
        let text = |name| fs::read_to_string(authority.join(name)).expect("an authority");
        let signer = KeyPair::from_pem(&text(AUTHORITY_KEY)).expect("a key");
        let issuer = Issuer::from_ca_cert_pem(&text(AUTHORITY_CERTIFICATE), signer);
        let id = u16::try_from(i + 1).expect("a server's number");
        let names = vec![peer_name(ServerId(id))];
        let mut params = CertificateParams::new(names).expect("names");
        let epoch = date_time_ymd(1970, 1, 1);
        params.not_before = epoch + from_now(self.begins);
        params.not_after = epoch + from_now(self.ends);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().expect("a key");
        let made = params.signed_by(&key, &issuer.expect("an authority"));
        Pair {
            certificate: made.expect("a certificate").pem(),
            key: key.serialize_pem(),
        }
    }

    /// The same in the place of what this server has, which is server `i`.
    pub(crate) fn put(&self, server: &Server, i: usize) {
        let place = folder(server);
        let pair = self.by(&place, i);
        fs::write(place.join(SERVER_CERTIFICATE), pair.certificate).expect("a file");
        fs::write(place.join(SERVER_KEY), pair.key).expect("a file");
        let mode = fs::Permissions::from_mode(0o600);
        fs::set_permissions(place.join(SERVER_KEY), mode).expect("it is ours");
    }
}

/// So many seconds from now, since 1970.
fn from_now(seconds: i64) -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.expect("it is after 1970");
    let by = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { now - by } else { now + by }
}
