//! Whoever is no server of the cluster, at the port for other servers: refused, told once, and nobody else notices.

use super::forged::{Forged, Pair};
use super::{GAP_MAX, PARTED, start, told, wait_until_told};
use crate::harness::certificates::folder;
use crate::harness::cluster::Cluster;
use crate::harness::load::Load;
use bytes::BytesMut;
use chrysalis::authority::{AUTHORITY_CERTIFICATE, Authority, PROTOCOL, peer_name};
use chrysalis::consensus::Identity;
use chrysalis::consensus::founding::Hello;
use chrysalis::units::ServerId;
use chrysalis::units::feature::Levels;
use chrysalis::wire::peer;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::TLS13;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A century, from yesterday on.
const VALID: (i64, i64) = (-86_400, 3_000_000_000);

/// A client that trusts the cluster and comes with this, or with nothing.
fn configured(cluster: &Cluster, shown: Option<Pair>, protocol: &[u8]) -> ClientConfig {
    let trusted = folder(cluster.server(0)).join(AUTHORITY_CERTIFICATE);
    let trusted = CertificateDer::from_pem_file(trusted).expect("an authority");
    let mut roots = RootCertStore::empty();
    roots.add(trusted).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .expect("it speaks that")
        .with_root_certificates(roots);
    let mut config = match shown {
        None => builder.with_no_client_auth(),
        Some(pair) => {
            let chain = CertificateDer::from_pem_slice(pair.certificate.as_bytes());
            let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes());
            builder
                .with_client_auth_cert(vec![chain.expect("PEM")], key.expect("PEM"))
                .expect("they fit")
        }
    };
    config.alpn_protocols = vec![protocol.to_vec()];
    config
}

/// The first bytes that a server sends whoever comes with this.
fn first_bytes(address: SocketAddr, config: ClientConfig, said: &[u8]) -> io::Result<Vec<u8>> {
    let name = ServerName::try_from(peer_name(ServerId(1))).expect("a name");
    let session = ClientConnection::new(Arc::new(config), name).expect("a client");
    let socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(GAP_MAX))?;
    let mut stream = StreamOwned::new(session, socket);
    stream.write_all(said)?;
    stream.flush()?;
    let mut bytes = vec![0; 8];
    stream.read_exact(&mut bytes)?;
    // It may say more, and then closes.
    let mut rest = Vec::new();
    let _closed = stream.read_to_end(&mut rest);
    Ok(bytes)
}

#[test]
fn a_stranger_is_refused_and_told_once_and_the_ensemble_does_not_notice() {
    let cluster = start();
    let load = Load::start(&cluster, "load");
    load.goes_on(GAP_MAX);
    let address = cluster.peer_address(0);
    let ours = folder(cluster.server(0));
    let home = TempDir::new().expect("a folder");
    let theirs = home.path().join("theirs");
    Authority::make(&theirs).expect("another authority");
    let (begins, ends) = VALID;
    let valid = Forged::lasting(begins, ends);

    for _ in 0..3 {
        let refused = |shown, protocol: &[u8]| {
            let config = configured(&cluster, shown, protocol);
            let refused = first_bytes(address, config, b"");
            assert!(refused.is_err(), "it hears nothing: {refused:?}");
        };
        refused(None, PROTOCOL);
        refused(Some(valid.by(&theirs, 1)), PROTOCOL);
        refused(Some(Forged::lasting(begins, -60).by(&ours, 1)), PROTOCOL);
        refused(Some(Forged::lasting(3600, ends).by(&ours, 1)), PROTOCOL);
        refused(Some(valid.by(&ours, 1)), b"http/1.1");
        plain(address);
    }
    for line in [
        "it shows no certificate",
        "its certificate was issued by another authority than this cluster's",
        "its certificate has expired",
        "its certificate is not valid yet",
        "it asks for another protocol than servers of a cluster speak",
        "it speaks without TLS, and this server does not: set cluster.certificates",
    ] {
        wait_until_told(&cluster, 0, line);
        assert_eq!(told(&cluster, 0, line), 1, "{line}");
    }
    load.goes_on(GAP_MAX);
    assert_eq!(cluster.said(PARTED), 0);
    load.end().check(&cluster);
}

/// Somebody who speaks without TLS hears nothing but an alert.
pub(super) fn plain(address: SocketAddr) {
    let mut socket = TcpStream::connect(address).expect("the port is open");
    socket.write_all(&hello(2)).expect("it listens");
    let mut heard = Vec::new();
    let _reset = socket.read_to_end(&mut heard);
    assert!(matches!(heard.as_slice(), [] | [0x15, 3, ..]), "{heard:?}");
}

/// What a server says first.
fn hello(id: u16) -> Vec<u8> {
    let hello = Hello {
        identity: Identity {
            server: ServerId(id),
            journal: 5,
        },
        levels: Levels::OWN,
        servers: [1, 2, 3].map(ServerId).to_vec(),
        observers: Vec::new(),
        forgot: false,
        members: None,
    };
    let mut bytes = BytesMut::new();
    peer::hello::encode(&hello, &mut bytes);
    bytes.to_vec()
}

#[test]
fn a_server_speaks_for_itself_alone() {
    let cluster = start();
    let load = Load::start(&cluster, "load");
    load.goes_on(GAP_MAX);
    let address = cluster.peer_address(0);
    let ours = folder(cluster.server(0));
    let (begins, ends) = VALID;
    for _ in 0..3 {
        // The certificate of the third, and the word of the second.
        let third = Forged::lasting(begins, ends).by(&ours, 2);
        let config = configured(&cluster, Some(third), PROTOCOL);
        let heard = first_bytes(address, config, &hello(2)).expect("it is a server");
        assert_eq!(
            heard[..3],
            [0, 0, 0],
            "the length of what a server says first"
        );
    }
    let line = "it shows the certificate of server 3: each server must have one of its own";
    wait_until_told(&cluster, 0, line);
    assert_eq!(told(&cluster, 0, line), 1);
    load.goes_on(GAP_MAX);
    assert_eq!(cluster.said(PARTED), 0);
    load.end().check(&cluster);
}

#[test]
fn who_says_nothing_is_sent_away_and_so_is_who_never_ends() {
    let mut cluster = start();
    let address = cluster.peer_address(0);
    let begun = Instant::now();
    let mut silent: Vec<TcpStream> = (0..40)
        .map(|_| TcpStream::connect(address).expect("the port is open"))
        .collect();
    // The beginning of a record that never ends.
    for slow in silent.iter_mut().take(4) {
        let _gone = slow.write_all(&[0x16, 3, 1, 0x3f, 0xff, 1]);
    }
    for socket in &mut silent {
        socket.set_read_timeout(Some(GAP_MAX)).expect("a time");
        let mut bytes = Vec::new();
        let closed = socket.read_to_end(&mut bytes);
        let late = closed.as_ref().is_err_and(|error| {
            matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
            )
        });
        assert!(!late, "it is closed");
    }
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "{:?}",
        begun.elapsed()
    );
    drop(silent);
    wait_until_told(&cluster, 0, "it did not finish the handshake in time");
    assert_eq!(
        told(&cluster, 0, "it did not finish the handshake in time"),
        1
    );
    let follower = cluster.followers()[0];
    cluster.kill(follower);
    cluster.resume(follower);
    let log = fs::read_to_string(cluster.server(0).folder().with_extension("log"));
    assert!(!log.expect("a log").contains("panicked"));
}
