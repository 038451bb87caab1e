//! Agreeing on TLS over a socket, from either side. Nothing here says whom to trust: that is in the configurations that come in.
//!
//! Who accepts looks at the other side's first message before it decides with which configuration to go on, so one port can serve
//! several protocols. Who connects has not finished before the other side has sent something: only then it is known that it took this
//! side's certificate.

use std::io;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::server::{AcceptedAlert, Acceptor};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, Connection, Error,
    ServerConfig,
};
use tokio::net::TcpStream;

use super::encrypted::Socket;

/// Why there is no agreement. The sentences are about the other side.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It does not speak TLS.
    #[error(
        "it speaks without TLS, and this server does not: set cluster.certificates on all servers, or on none"
    )]
    Plain,
    /// It speaks TLS, and this server does not.
    #[error(
        "it speaks TLS, and this server does not: set cluster.certificates on all servers, or on none"
    )]
    Tls,
    /// It shows no certificate.
    #[error("it shows no certificate")]
    NoCertificate,
    /// Its certificate is of nobody's whom this side trusts.
    #[error("its certificate was issued by another authority than this cluster's")]
    Foreign,
    /// Its certificate's time is over.
    #[error(
        "its certificate has expired: issue a new one there (chrysalis cluster rotate-certificates)"
    )]
    Expired,
    /// Its certificate's time has not come.
    #[error("its certificate is not valid yet: compare the clocks of both hosts")]
    NotYet,
    /// Its certificate has another name than it was asked for.
    #[error("it shows the certificate of another server")]
    OtherName,
    /// It does not take the certificate of this side.
    #[error(
        "it refuses the certificate of this server ({0}): compare authority.pem and the clocks of both hosts"
    )]
    RefusesThis(&'static str),
    /// It asks for a protocol that is not spoken here.
    #[error("it asks for another protocol than servers of a cluster speak")]
    OtherProtocol,
    /// It has said nothing, or not all.
    #[error("it did not finish the handshake in time")]
    Silent,
    /// It has gone.
    #[error("it closed the connection during the handshake")]
    Closed,
    /// What it sends is nothing that can be agreed with.
    #[error("{0}")]
    Other(String),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Refusal {
        use io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected, UnexpectedEof};
        match error.kind() {
            BrokenPipe | ConnectionReset | NotConnected | UnexpectedEof => Refusal::Closed,
            _ => Refusal::Other(error.to_string()),
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        use CertificateError as Bad;
        match error {
            Error::InvalidMessage(_) => Refusal::Plain,
            Error::NoCertificatesPresented => Refusal::NoCertificate,
            Error::NoApplicationProtocol => Refusal::OtherProtocol,
            Error::InvalidCertificate(Bad::UnknownIssuer | Bad::BadSignature) => Refusal::Foreign,
            Error::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => {
                Refusal::Expired
            }
            Error::InvalidCertificate(Bad::NotValidYet | Bad::NotValidYetContext { .. }) => {
                Refusal::NotYet
            }
            Error::InvalidCertificate(
                Bad::NotValidForName | Bad::NotValidForNameContext { .. },
            ) => Refusal::OtherName,
            Error::AlertReceived(alert) => told(alert),
            error => Refusal::Other(error.to_string()),
        }
    }
}

/// What the other side says of this one.
fn told(alert: AlertDescription) -> Refusal {
    match alert {
        AlertDescription::UnknownCA | AlertDescription::DecryptError => {
            Refusal::RefusesThis("another authority issued it")
        }
        AlertDescription::CertificateExpired => Refusal::RefusesThis("it has expired"),
        AlertDescription::CertificateRequired => Refusal::RefusesThis("it was not shown"),
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::AccessDenied => Refusal::RefusesThis("it is not valid there"),
        AlertDescription::NoApplicationProtocol => Refusal::OtherProtocol,
        alert => Refusal::Other(format!("it ends the handshake: {alert:?}")),
    }
}

/// Agrees with the server of this name that `socket` is connected to.
///
/// # Errors
/// [`Refusal`]; the other side has been told, if it still listens.
pub async fn connect(
    socket: &TcpStream,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
) -> Result<Connection, Refusal> {
    let mut session = Connection::Client(ClientConnection::new(config, name)?);
    // Its first bytes say that it has taken this side's certificate.
    complete(socket, &mut session, |waiting_bytes| waiting_bytes > 0).await?;
    Ok(session)
}

/// Agrees with whoever has connected to `socket`. From the protocols that it speaks `choose` finds how to go on; it is told where none
/// of them is in that configuration.
///
/// # Errors
/// [`Refusal`]; the other side has been told, if it still listens.
pub async fn accept(
    socket: &TcpStream,
    choose: impl FnOnce(&[&[u8]]) -> Arc<ServerConfig>,
) -> Result<Connection, Refusal> {
    let mut acceptor = Acceptor::default();
    let refuse = |(error, mut alert): (Error, AcceptedAlert)| {
        // It may not listen any more.
        let _told = alert.write_all(&mut Socket(socket));
        Refusal::from(error)
    };
    let accepted = loop {
        receive(socket, |socket| acceptor.read_tls(socket)).await?;
        if let Some(accepted) = acceptor.accept().map_err(refuse)? {
            break accepted;
        }
    };
    let config = {
        let hello = accepted.client_hello();
        let protocols: Vec<&[u8]> = hello.alpn().into_iter().flatten().collect();
        choose(&protocols)
    };
    let session = accepted.into_connection(config).map_err(refuse)?;
    let mut session = Connection::Server(session);
    complete(socket, &mut session, |_| true).await?;
    Ok(session)
}

/// Goes on until the handshake is over, and `is_enough` of what was received behind it.
async fn complete(
    socket: &TcpStream,
    session: &mut Connection,
    is_enough: impl Fn(usize) -> bool,
) -> Result<(), Refusal> {
    let mut waiting_bytes = 0;
    loop {
        send(socket, session).await?;
        if !session.is_handshaking() && is_enough(waiting_bytes) {
            return Ok(());
        }
        receive(socket, |socket| session.read_tls(socket)).await?;
        match session.process_new_packets() {
            Ok(state) => waiting_bytes = state.plaintext_bytes_to_read(),
            Err(error) => {
                // The alert that says why; it may not listen any more.
                let _told = session.write_tls(&mut Socket(socket));
                return Err(error.into());
            }
        }
    }
}

/// Sends what is to be said.
async fn send(socket: &TcpStream, session: &mut Connection) -> io::Result<()> {
    while session.wants_write() {
        match session.write_tls(&mut Socket(socket)) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket.writable().await?,
            Err(error) => return Err(error),
            Ok(_) => {}
        }
    }
    Ok(())
}

/// Waits for something to come, and reads it once.
async fn receive(
    socket: &TcpStream,
    mut read: impl FnMut(&mut Socket<'_>) -> io::Result<usize>,
) -> Result<(), Refusal> {
    loop {
        socket.readable().await?;
        match read(&mut Socket(socket)) {
            Ok(0) => return Err(Refusal::Closed),
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// What a server that speaks without TLS hears from one that speaks with it: whether these first bytes begin a handshake, or
/// an alert. No frame of two servers begins so, because it would be longer than any is.
pub fn looks_like_tls(bytes: &[u8]) -> bool {
    const ALERT: u8 = 0x15;
    const MAJOR_VERSION: u8 = 3;
    matches!(bytes, [ALERT | TLS_HANDSHAKE, MAJOR_VERSION, ..])
}

/// The first byte of what begins a handshake.
pub const TLS_HANDSHAKE: u8 = 0x16;
