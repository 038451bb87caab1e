//! Around [`Node`]: sockets, the disk's descriptor and the clock become events, and what the
//! node wants written is written.
//!
//! Everything runs on one thread. A connection is a task that reads and hands the bytes over; what a
//! read brought is handled at once. One more task takes the turns: it runs after the connections that
//! were ready with it, so a turn gathers what all of them brought, closes it into one journal batch, and
//! writes every connection's replies with one call. The node is never borrowed across an await.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use tokio::io::unix::AsyncFd;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tracing::{debug, warn};

use super::accept::accept_clients;
use super::advice;
use super::descriptors::Shares;
use super::dial;
use super::security::Security;
use crate::disk::{Chosen, Class};
use crate::net::handshake::{Refusal, looks_like_tls};
use crate::net::listener::Census;
use crate::net::socket::{self, OpenFiles, Progress};
use crate::net::stream::{Brought, Stream};
use crate::node::{Event, Failure, Node, Port};
use crate::registry::owners::Question;
use crate::registry::{Answers, Registry};
use crate::report::throttle::Trouble;
use crate::report::{Code, Error};
use crate::units::{ConnectionId, LatencyHistogram, Moment, ServerId, WallTime};

/// How long a closed connection's last reply may take to arrive before the socket is dropped.
const LINGER: Duration = Duration::from_secs(2);
/// How much of what such a connection still sends is read and thrown away.
const LINGER_BYTES: usize = 4 << 20;
/// How often it is told, at most, that message files cannot be opened.
const FILE_TROUBLE_TOLD_EVERY: Duration = Duration::from_secs(60);

/// The two clocks, read together once a turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts now.
    pub(super) fn start() -> Clock {
        Clock {
            start: Instant::now(),
        }
    }

    /// The monotonic clock.
    pub(super) fn now(&self) -> Moment {
        Moment::from_nanos(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// How long ago the clock was started.
    pub(super) fn uptime(&self) -> Duration {
        self.start.elapsed()
    }

    /// When `moment` comes, for a timer.
    fn instant(&self, moment: Moment) -> Instant {
        self.start
            .checked_add(moment.since(Moment::START))
            .unwrap_or(self.start)
    }

    /// Both, read together.
    fn both(&self) -> (Moment, WallTime) {
        (self.now(), self.wall())
    }

    /// The time of day.
    pub(super) fn wall(&self) -> WallTime {
        let since = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        WallTime(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// A connection's socket and what its task has to know.
struct Peer {
    stream: Stream,
    address: SocketAddr,
    /// Nothing has come yet of another server that is to speak without TLS.
    unheard: Cell<bool>,
    /// Something about it changed: look again.
    wake: Notify,
    /// The peer takes no more output now.
    blocked: Cell<bool>,
    /// Nothing more is to be done with it.
    ended: Cell<bool>,
}

/// The sockets around a node.
pub(super) struct Shell {
    pub(super) node: RefCell<Node>,
    pub(super) clock: Clock,
    /// A turn is wanted.
    pub(super) turn: Notify,
    /// The ports may be opened.
    pub(super) serving: Notify,
    /// Everything is on disk, after a stop was asked for.
    pub(super) stopped: Notify,
    /// The registry is to show other topics.
    pub(super) topics_changed: Notify,
    /// The node cannot go on.
    pub(super) failed: Notify,
    failure: RefCell<Option<Failure>>,
    peers: RefCell<HashMap<ConnectionId, Rc<Peer>>>,
    files: RefCell<OpenFiles>,
    /// Message files cannot be opened.
    file_trouble: RefCell<Trouble>,
    next_connection: Cell<u64>,
    /// How the disk is written, in words.
    pub(super) backend: Chosen,
    /// The broker's registration, while there is one.
    pub(super) registry: RefCell<Option<Registry>>,
    /// Who may speak to this server as another one of its cluster.
    pub(super) security: Security,
    /// How long turns took.
    pub(super) turn_latency: RefCell<LatencyHistogram>,
}

impl Shell {
    pub(super) fn new(
        node: Node,
        clock: Clock,
        backend: Chosen,
        shares: Shares,
        security: Security,
    ) -> Rc<Shell> {
        Rc::new(Shell {
            node: RefCell::new(node),
            clock,
            turn: Notify::new(),
            serving: Notify::new(),
            stopped: Notify::new(),
            topics_changed: Notify::new(),
            failed: Notify::new(),
            failure: RefCell::new(None),
            peers: RefCell::new(HashMap::new()),
            files: RefCell::new(OpenFiles::new(shares.sent)),
            file_trouble: RefCell::new(Trouble::new(FILE_TROUBLE_TOLD_EVERY)),
            next_connection: Cell::new(1),
            backend,
            registry: RefCell::new(None),
            security,
            turn_latency: RefCell::default(),
        })
    }

    /// Why the node cannot go on, for the operator. To be asked once, after `failed`.
    pub(super) fn failure(&self) -> Error {
        match self.failure.borrow_mut().take() {
            Some(failure) => advice::ended(failure),
            None => Error::new(Code::E0900, "the event loop ended without a reason"),
        }
    }

    /// Hands an event to the node and asks for a turn.
    pub(super) fn handle(&self, event: Event) {
        let (now, wall) = self.clock.both();
        self.node.borrow_mut().handle(now, wall, event);
        self.turn.notify_one();
    }

    /// Takes turns until the node fails.
    pub(super) async fn take_turns(
        self: Rc<Self>,
        disk: AsyncFd<impl AsFd + std::os::fd::AsRawFd>,
    ) {
        loop {
            let deadline = self
                .node
                .borrow()
                .deadline()
                .map(|at| self.clock.instant(at));
            tokio::select! {
                biased;
                () = self.turn.notified() => {}
                ready = disk.readable() => {
                    if let Ok(mut ready) = ready {
                        ready.clear_ready();
                    }
                }
                () = sleep_until(deadline) => {}
            }
            let (now, wall) = self.clock.both();
            let turned = self.node.borrow_mut().turn(now, wall);
            if let Err(failure) = turned {
                *self.failure.borrow_mut() = Some(failure);
                self.failed.notify_one();
                return;
            }
            self.write_outputs();
            self.tell();
            let took = self.clock.now().since(now);
            self.turn_latency.borrow_mut().record(took);
            // Whoever became ready meanwhile has its turn before the next one is taken.
            tokio::task::yield_now().await;
        }
    }

    /// Passes on what the rest of the process waits for.
    fn tell(&self) {
        let mut node = self.node.borrow_mut();
        if node.opens() {
            self.serving.notify_one();
        }
        if node.is_stopped() {
            self.stopped.notify_one();
        }
        if node.take_topics_changed() {
            self.topics_changed.notify_one();
        }
        let questions = node.take_questions();
        drop(node);
        self.ask(questions);
    }

    fn ask(&self, questions: Vec<Question>) {
        for question in questions {
            let unasked = match self.registry.borrow().as_ref() {
                Some(registry) => registry.ask(question).err(),
                None => Some(question),
            };
            if let Some(question) = unasked {
                self.handle(Event::Owners(question.nobody()));
            }
        }
    }

    /// Hands the registry's answers to the broker, until there are no more to come.
    pub(super) async fn take_answers(self: Rc<Self>, mut answers: Answers) {
        while let Some(answer) = answers.recv().await {
            self.handle(Event::Owners(answer));
        }
    }

    /// Writes what the turn left in the connections' queues.
    pub(super) fn write_outputs(&self) {
        let dirty = self.node.borrow_mut().take_dirty();
        let time = self.clock.both();
        for id in dirty {
            let peer = self.peers.borrow().get(&id).cloned();
            if let Some(peer) = peer {
                if !peer.blocked.get() {
                    self.write(id, &peer, time);
                }
                // Whether it may be read from may have changed as well.
                peer.wake.notify_one();
            }
        }
    }

    fn write(&self, id: ConnectionId, peer: &Peer, (now, wall): (Moment, WallTime)) {
        let mut node = self.node.borrow_mut();
        let Some(connection) = node.connection(id) else {
            peer.ended.set(true);
            return;
        };
        let port = connection.port();
        let output = connection.output();
        let queued = output.queued_bytes();
        let written = socket::write(&peer.stream, output, &mut self.files.borrow_mut());
        let sent = queued - output.queued_bytes();
        let closing = connection.is_closing();
        node.handle(now, wall, Event::Sent { port, count: sent });
        if sent > 0 && node.waits_for_room(id) {
            self.turn.notify_one();
        }
        match written {
            Ok(progress) => {
                self.file_trouble.borrow_mut().ends();
                peer.blocked.set(progress == Progress::Blocked);
                if progress == Progress::Done && closing {
                    peer.ended.set(true);
                    peer.wake.notify_one();
                }
                if progress == Progress::Share {
                    node.mark_dirty(id);
                    self.turn.notify_one();
                }
            }
            Err(error) => {
                debug!(connection = id.0, %error, "connection broken while writing");
                let lacking = Class::of(&error) == Class::Exhausted;
                if lacking && self.file_trouble.borrow_mut().begins(now) {
                    warn!(
                        %error,
                        "a message file cannot be opened: connections that are to be sent one are closed"
                    );
                }
                peer.ended.set(true);
                peer.wake.notify_one();
            }
        }
    }

    /// Accepts connections on one port until it is dropped.
    pub(super) async fn accept(self: Rc<Self>, port: Port, listener: TcpListener, census: Census) {
        let refused = |full| self.handle(Event::Refused { port, full });
        let serve = |socket, address| {
            let shell = Rc::clone(&self);
            async move {
                match port {
                    // Apart, because the task of each client would have room for a handshake.
                    Port::Peers => Box::pin(shell.serve_if_ours(socket, address)).await,
                    Port::Coordinator | Port::Broker => {
                        let stream = Stream::Plain(socket);
                        shell.serve(port, stream, address, None).await;
                    }
                }
            }
        };
        accept_clients(port.name(), self.clock, listener, census, refused, serve).await;
    }

    /// Serves one connection until it ends. `certified` is the server that the other side has shown to be.
    pub(super) async fn serve(
        self: Rc<Self>,
        port: Port,
        stream: Stream,
        address: SocketAddr,
        certified: Option<ServerId>,
    ) {
        let id = ConnectionId(self.next_connection.replace(self.next_connection.get() + 1));
        if let Err(error) = stream.socket().set_nodelay(true) {
            debug!(connection = id.0, %error, "set TCP_NODELAY");
        }
        if port == Port::Peers
            && let Err(error) = dial::watch_over(stream.socket())
        {
            debug!(connection = id.0, %error, "set keep-alive");
        }
        let agreed = matches!(stream, Stream::Encrypted(_));
        let peer = Rc::new(Peer {
            stream,
            address,
            unheard: Cell::new(port == Port::Peers && !agreed),
            wake: Notify::new(),
            blocked: Cell::new(false),
            ended: Cell::new(false),
        });
        self.peers.borrow_mut().insert(id, Rc::clone(&peer));
        self.handle(Event::Connected {
            connection: id,
            port,
            address,
            certified,
        });
        // The handshake may have brought the first bytes with it.
        if agreed && !self.read(id, &peer) {
            peer.ended.set(true);
        }
        while !peer.ended.get() {
            let (known, reads) = {
                let mut node = self.node.borrow_mut();
                (node.connection(id).is_some(), node.reads(id))
            };
            if !known {
                break;
            }
            tokio::select! {
                biased;
                () = peer.wake.notified() => {}
                writable = peer.stream.socket().writable(), if peer.blocked.get() => {
                    if writable.is_ok() {
                        peer.blocked.set(false);
                        self.write(id, &peer, self.clock.both());
                        // What was held back for a full queue may go on now.
                        self.turn.notify_one();
                    }
                }
                readable = peer.stream.socket().readable(), if reads => {
                    if readable.is_err() || !self.read(id, &peer) {
                        break;
                    }
                    // Others that are ready have their turn before this one reads again.
                    tokio::task::yield_now().await;
                }
            }
        }
        let graceful = self
            .node
            .borrow_mut()
            .connection(id)
            .is_some_and(|c| c.is_closing());
        self.handle(Event::Disconnected { connection: id });
        self.peers.borrow_mut().remove(&id);
        if graceful {
            linger(peer.stream.socket()).await;
        }
    }

    /// Reads once; false when the connection is over.
    fn read(&self, id: ConnectionId, peer: &Peer) -> bool {
        let (read, speaks_tls) = match self.node.borrow_mut().connection(id) {
            Some(connection) => {
                let room = connection.room();
                let read = peer.stream.read(room);
                let is_first = !room.is_empty() && peer.unheard.replace(false);
                (read, is_first && looks_like_tls(room))
            }
            None => return false,
        };
        if speaks_tls {
            self.tell_refusal(peer.address, &Refusal::Tls);
            // What this server says of itself is not TLS, and tells the other side as much.
            self.write(id, peer, self.clock.both());
            return false;
        }
        match read {
            Ok(Brought::End) => false,
            Ok(Brought::Nothing) => true,
            Ok(Brought::Bytes(count)) => {
                self.handle(Event::Received {
                    connection: id,
                    count,
                });
                true
            }
            Err(error) => {
                debug!(connection = id.0, %error, "connection broken while reading");
                false
            }
        }
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Lets the last reply arrive: a socket that is dropped with unread input resets the connection, and the
/// peer loses what was on its way to it.
pub(super) async fn linger(stream: &TcpStream) {
    let half_close = socket2::SockRef::from(stream).shutdown(std::net::Shutdown::Write);
    if half_close.is_err() {
        return;
    }
    let drain = async {
        let mut left = LINGER_BYTES;
        let mut buffer = [0; 4096];
        while left > 0 && stream.readable().await.is_ok() {
            match stream.try_read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => left = left.saturating_sub(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
        }
    };
    // A peer that neither reads nor closes has had its time.
    let _ = tokio::time::timeout(LINGER, drain).await;
}
