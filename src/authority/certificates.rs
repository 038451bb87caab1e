//! What a server shows to the others of its cluster, and whom it trusts: from its folder of certificates, and read again while it runs.
//!
//! Connections that are open keep what they were made with; the next ones get what holds then. Sessions are never resumed: each
//! connection shows a certificate that is valid when it is made.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier as _;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::certificate::Certificate;
use super::error::{Error, Unusable};
use super::{
    AUTHORITY_CERTIFICATE, Authority, SERVER_CERTIFICATE, SERVER_KEY, files, finish, now, peer_name,
};
use crate::units::ServerId;

/// What two servers of a cluster speak over TLS.
pub const PROTOCOL: &[u8] = b"chrysalis-peer/1";

/// A server's certificate, its key, and the authorities that it trusts.
#[derive(Debug)]
pub struct Certificates {
    folder: PathBuf,
    server: ServerId,
    held: RefCell<Held>,
}

/// What holds for new connections.
#[derive(Clone, Debug)]
struct Held {
    own: Certificate,
    client: Arc<ClientConfig>,
    accepting: Arc<ServerConfig>,
}

impl Certificates {
    /// What this server has in its folder.
    ///
    /// # Errors
    /// A file is missing or no use, or what is in it does not fit together.
    pub fn load(folder: &Path, server: ServerId) -> Result<Certificates, Error> {
        Ok(Certificates {
            folder: folder.to_path_buf(),
            server,
            held: RefCell::new(Held::load(folder, server)?),
        })
    }

    /// Reads the folder again, for the next connections.
    ///
    /// # Errors
    /// As [`Certificates::load`]; what was held stays.
    pub fn load_again(&self) -> Result<(), Error> {
        let held = Held::load(&self.folder, self.server)?;
        *self.held.borrow_mut() = held;
        Ok(())
    }

    /// Where they lie.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whose they are.
    pub fn server(&self) -> ServerId {
        self.server
    }

    /// Whether this server can make itself a new certificate.
    pub fn has_authority(&self) -> bool {
        Authority::is_in(&self.folder)
    }

    /// The certificate that is shown now.
    pub fn own(&self) -> Certificate {
        self.held.borrow().own.clone()
    }

    /// How to connect to another server.
    pub fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.held.borrow().client)
    }

    /// How to answer another server.
    pub fn accepting(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.held.borrow().accepting)
    }

    /// What another server has to be called in its certificate.
    ///
    /// # Panics
    /// Never: a server's number makes a name.
    pub fn name_of(server: ServerId) -> ServerName<'static> {
        ServerName::try_from(peer_name(server)).expect("a server's name is one of DNS")
    }
}

impl Held {
    fn load(folder: &Path, server: ServerId) -> Result<Held, Error> {
        // Not between the key of one and the certificate of another.
        let _alone = files::lock(folder).ok();
        finish(folder, SERVER_CERTIFICATE, SERVER_KEY);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let trusted = trusted(&folder.join(AUTHORITY_CERTIFICATE))?;
        let path = folder.join(SERVER_CERTIFICATE);
        let chain = files::certificates(&path)?;
        let own = chain[0].clone();
        check(&own, server, &path)?;
        check_issuer(&own, server, &trusted, &provider, &path)?;
        let key_path = folder.join(SERVER_KEY);
        let key = files::key_text(&key_path)?;
        let key = || {
            let read = PrivateKeyDer::from_pem_slice(key.as_bytes());
            read.map_err(|_| Error::new(&key_path, Unusable::NoPem))
        };
        let chain: Vec<_> = chain.iter().map(|it| it.der().clone()).collect();
        let unusable = |error: rustls::Error| {
            let why = match error {
                rustls::Error::InconsistentKeys(_) => Unusable::OtherKey(SERVER_CERTIFICATE),
                error => Unusable::NotMade(error.to_string()),
            };
            Error::new(&key_path, why)
        };
        let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(unusable)?
            .with_root_certificates(Arc::clone(&trusted))
            .with_client_auth_cert(chain.clone(), key()?)
            .map_err(unusable)?;
        client.alpn_protocols = vec![PROTOCOL.to_vec()];
        client.resumption = Resumption::disabled();
        let verifier = WebPkiClientVerifier::builder_with_provider(trusted, Arc::clone(&provider))
            .build()
            .map_err(|error| Error::new(&path, Unusable::NotMade(error.to_string())))?;
        let mut accepting = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(unusable)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key()?)
            .map_err(unusable)?;
        accepting.alpn_protocols = vec![PROTOCOL.to_vec()];
        accepting.session_storage = Arc::new(NoServerSessionStorage {});
        accepting.send_tls13_tickets = 0;
        Ok(Held {
            own,
            client: Arc::new(client),
            accepting: Arc::new(accepting),
        })
    }
}

/// The authorities that are trusted.
fn trusted(path: &Path) -> Result<Arc<RootCertStore>, Error> {
    let mut store = RootCertStore::empty();
    for authority in files::certificates(path)? {
        let added = store.add(authority.der().clone());
        added.map_err(|_| Error::new(path, Unusable::NoPem))?;
    }
    Ok(Arc::new(store))
}

/// Whether a certificate is this server's, and valid now.
fn check(own: &Certificate, server: ServerId, path: &Path) -> Result<(), Error> {
    let shown = own.server();
    let why = if shown != Some(server) {
        Unusable::OtherServer {
            shown,
            wanted: server,
        }
    } else if own.ends() < now() {
        Unusable::Expired(own.ends())
    } else if own.begins() > now() {
        Unusable::NotYet(own.begins())
    } else {
        return Ok(());
    };
    Err(Error::new(path, why))
}

/// Whether the others, who trust the same, will take it.
fn check_issuer(
    own: &Certificate,
    server: ServerId,
    trusted: &Arc<RootCertStore>,
    provider: &Arc<CryptoProvider>,
    path: &Path,
) -> Result<(), Error> {
    let foreign = || Error::new(path, Unusable::OtherAuthority);
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::clone(trusted), Arc::clone(provider))
            .build()
            .map_err(|_| foreign())?;
    let name = Certificates::name_of(server);
    let verified = verifier.verify_server_cert(own.der(), &[], &name, &[], UnixTime::now());
    verified.map(|_| ()).map_err(|_| foreign())
}
