//! How servers of a cluster know each other: by certificates of the cluster's own authority, where `cluster.certificates` names a
//! folder. Otherwise by what they say.
//!
//! Who connects has `PATIENCE` for the handshake, and few may be in it at a time, so that strangers keep no server away. A refusal is
//! told once for each address and reason.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use rustls::Connection;
use tokio::net::TcpStream;
use tracing::{debug, warn};

use super::advice;
use super::event_loop::{Shell, linger};
use crate::authority::{self, Certificates};
use crate::config::{Config, ServerFolder};
use crate::net::encrypted::Encrypted;
use crate::net::handshake::{self, Refusal};
use crate::net::listener::Census;
use crate::net::stream::Stream;
use crate::node::{Event, Port};
use crate::report::Error;
use crate::units::{Moment, ServerId};

/// How long a handshake may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// The same refusal of the same address is not told again for so long.
const TOLD_EVERY: Duration = Duration::from_secs(60 * 60);
/// So many refusals are remembered; more than these are told only when one of them is forgotten.
const REFUSALS_MAX: usize = 64;
/// So many handshakes one address may have under way.
const HANDSHAKES_PER_ADDRESS_MAX: usize = 8;

/// A connection, and whose certificate the other side has shown on it.
pub(super) type Secured = (Stream, Option<ServerId>);

/// Who may speak to this server as another one of its cluster.
pub(super) struct Security {
    certificates: Option<Rc<Certificates>>,
    /// Servers without TLS are let in as well.
    lenient: bool,
    handshakes: RefCell<Census>,
    refusals: RefCell<Refusals>,
    /// Why there is no new certificate although it is time for one.
    pub(super) unrenewed: RefCell<Option<String>>,
}

impl Security {
    /// As the configuration wants it.
    ///
    /// # Errors
    /// The certificates cannot be used; the error says what to do.
    pub(super) fn of(config: &Config, folder: &ServerFolder) -> Result<Security, Error> {
        let certificates = certificates(config).transpose();
        let certificates = certificates.map_err(|error| advice::no_certificates(error, folder))?;
        let servers = config.cluster.as_ref().map_or(1, |it| it.servers.len());
        let census = Census::new(4 * servers, HANDSHAKES_PER_ADDRESS_MAX);
        Ok(Security {
            lenient: certificates.is_some() && !config.certificates_required,
            certificates: certificates.map(Rc::new),
            handshakes: RefCell::new(census),
            refusals: RefCell::default(),
            unrenewed: RefCell::default(),
        })
    }

    /// What is shown to other servers, if anything is.
    pub(super) fn certificates(&self) -> Option<&Rc<Certificates>> {
        self.certificates.as_ref()
    }
}

/// What an operator should know as long as servers without TLS are let in.
pub(super) fn note(config: &Config) -> Option<String> {
    let lenient = config.certificates.is_some() && !config.certificates_required;
    lenient.then(|| {
        "cluster.certificates_required is false: servers that show no certificate are let in; set it to true when all have one"
            .to_owned()
    })
}

/// What a server shows to others; one that is alone still has it ready, and renews it.
pub(super) fn certificates(config: &Config) -> Option<Result<Certificates, authority::Error>> {
    let folder = config.certificates.as_ref()?;
    Some(Certificates::load(folder, config.id))
}

impl Shell {
    /// Serves who has come to the port for other servers, as soon as it is known to be one.
    pub(super) async fn serve_if_ours(self: Rc<Self>, socket: TcpStream, address: SocketAddr) {
        let Some(certificates) = self.security.certificates().cloned() else {
            return self
                .serve(Port::Peers, Stream::Plain(socket), address, None)
                .await;
        };
        let ip = address.ip();
        let admitted = self.security.handshakes.borrow_mut().admit(ip);
        if let Err(full) = admitted {
            let port = Port::Peers;
            return self.handle(Event::Refused { port, full });
        }
        let secured = match self.security.lenient && speaks_without_tls(&socket).await {
            true => Some((Stream::Plain(socket), None)),
            false => self.answer(socket, address, &certificates).await,
        };
        self.security.handshakes.borrow_mut().leave(ip);
        if let Some((stream, certified)) = secured {
            self.serve(Port::Peers, stream, address, certified).await;
        }
    }

    /// Agrees with who has connected, or tells why not.
    async fn answer(
        &self,
        socket: TcpStream,
        address: SocketAddr,
        certificates: &Certificates,
    ) -> Option<Secured> {
        // Servers speak one protocol here, and whoever wants another is told so.
        let choose = |_: &[&[u8]]| certificates.accepting();
        let agreed = in_time(handshake::accept(&socket, choose)).await;
        match agreed.and_then(whose) {
            Ok((session, server)) => {
                let stream = Stream::Encrypted(Box::new(Encrypted::new(socket, session)));
                Some((stream, Some(server)))
            }
            Err(refusal) => {
                self.tell_refusal(address, &refusal);
                linger(&socket).await;
                None
            }
        }
    }

    /// Makes a connection to another server one that both trust.
    ///
    /// # Errors
    /// Why it cannot be.
    pub(super) async fn secure(
        &self,
        socket: TcpStream,
        server: ServerId,
    ) -> Result<Secured, Refusal> {
        let Some(certificates) = self.security.certificates() else {
            return Ok((Stream::Plain(socket), None));
        };
        let name = Certificates::name_of(server);
        let agreed = in_time(handshake::connect(&socket, certificates.client(), name)).await;
        if self.security.lenient && agreed.as_ref().err() == Some(&Refusal::Plain) {
            let again =
                tokio::time::timeout(PATIENCE, TcpStream::connect(socket.peer_addr()?)).await;
            let socket = again.map_err(|_| Refusal::Silent)??;
            return Ok((Stream::Plain(socket), None));
        }
        let session = agreed?;
        let (session, server) = whose(session)?;
        let stream = Stream::Encrypted(Box::new(Encrypted::new(socket, session)));
        Ok((stream, Some(server)))
    }

    /// Tells that whoever is at this address is not let in, unless that was told.
    pub(super) fn tell_refusal(&self, address: SocketAddr, why: &Refusal) {
        if *why == Refusal::Closed {
            // Somebody who looks whether the port is open; or a server that is being stopped.
            return debug!(%address, %why, "no agreement with who has connected");
        }
        let now = self.clock.now();
        let mut refusals = self.security.refusals.borrow_mut();
        if refusals.is_due(address.ip(), &why.to_string(), now) {
            warn!(%address, %why, "a connection as another server is refused");
        }
    }
}

/// Whether the first byte of who has connected begins no handshake of TLS. A server says something at once.
async fn speaks_without_tls(socket: &TcpStream) -> bool {
    let mut first = [0; 2];
    let heard = tokio::time::timeout(PATIENCE, socket.peek(&mut first)).await;
    matches!(heard, Ok(Ok(count)) if count > 0 && first[0] != handshake::TLS_HANDSHAKE)
}

async fn in_time(
    handshake: impl Future<Output = Result<Connection, Refusal>>,
) -> Result<Connection, Refusal> {
    let agreed = tokio::time::timeout(PATIENCE, handshake).await;
    agreed.unwrap_or(Err(Refusal::Silent))
}

/// Which server the verified certificate of the other side names.
fn whose(session: Connection) -> Result<(Connection, ServerId), Refusal> {
    if session.alpn_protocol() != Some(authority::PROTOCOL) {
        return Err(Refusal::OtherProtocol);
    }
    let shown = session.peer_certificates().and_then(|chain| chain.first());
    let server = shown.and_then(|shown| authority::server_named_in(shown));
    match server {
        Some(server) => Ok((session, server)),
        None => Err(Refusal::OtherName),
    }
}

/// What was told of which address, and when.
#[derive(Debug, Default)]
struct Refusals {
    told: BTreeMap<(IpAddr, String), Moment>,
}

impl Refusals {
    fn is_due(&mut self, address: IpAddr, why: &str, now: Moment) -> bool {
        let refusal = (address, why.to_owned());
        if self
            .told
            .get(&refusal)
            .is_some_and(|at| *at + TOLD_EVERY > now)
        {
            return false;
        }
        if self.told.len() >= REFUSALS_MAX {
            self.told.retain(|_, at| *at + TOLD_EVERY > now);
        }
        let room = self.told.len() < REFUSALS_MAX;
        if room {
            self.told.insert(refusal, now);
        }
        room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Moment {
        Moment::START + Duration::from_secs(second)
    }

    fn host(number: u8) -> IpAddr {
        [10, 0, 0, number].into()
    }

    #[test]
    fn a_refusal_is_told_once_for_each_address_and_reason() {
        let mut refusals = Refusals::default();
        assert!(refusals.is_due(host(1), "a", at(0)));
        assert!(!refusals.is_due(host(1), "a", at(3599)));
        assert!(refusals.is_due(host(2), "a", at(1)));
        assert!(refusals.is_due(host(1), "b", at(2)));
        assert!(
            !refusals.is_due(host(1), "a", at(3)),
            "the other reason came between"
        );
        assert!(refusals.is_due(host(1), "a", at(3600)));
    }

    #[test]
    fn strangers_from_everywhere_do_not_fill_the_log() {
        let mut refusals = Refusals::default();
        let told = |refusals: &mut Refusals, second| {
            let due = (0..=255).filter(|it| refusals.is_due(host(*it), "a", at(second)));
            due.count()
        };
        assert_eq!(told(&mut refusals, 0), REFUSALS_MAX);
        assert_eq!(told(&mut refusals, 60), 0);
        assert_eq!(told(&mut refusals, 3600), REFUSALS_MAX);
    }
}
