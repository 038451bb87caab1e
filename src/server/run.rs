//! One server from start to stop: ports, disk, node, registry, local commands, signals.
//!
//! The order is the promise: ports are taken before anything in the folder is touched, what is on disk is
//! applied before a client is let in, the broker can be reached before it registers, and it unregisters
//! before it stops being reached.

use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio::time::Interval;
use tracing::{error, info, warn};

use super::advice::{LIMIT_CURE, lacking};
use super::descriptors::Shares;
use super::event_loop::{Clock, Shell};
use super::security::Security;
use super::settings::Listening;
use super::startup::{self, Start};
use super::{control, dial, ours, renewal, security, settings, system, web};
use crate::appliance::status::ServerState;
use crate::appliance::{Ports, Readiness, RunOptions, Signal, Signals, limits};
use crate::config::{Config, ServerFolder, ZookeeperAt};
use crate::disk::{Chosen, Class, Files, NewError};
use crate::net::listener::{Bound, Census, is_absent};
use crate::node::{EnsembleWish, Event, Port};
use crate::registry::{self, Registry};
use crate::report::{Code, Error};
use crate::units::feature::Levels;

/// How long an orderly stop may take before the process ends anyway; nothing is lost by that.
const STOP_PATIENCE: Duration = Duration::from_secs(20);
/// Threads that a server needs beside its own: for the disk, and for libraries.
const THREADS_MIN: usize = 8;
/// How long it is waited for a journal or a disk that takes nothing, when the server stops.
const STUCK_PATIENCE: Duration = Duration::from_secs(1);
/// How long a start waits for the registration in ZooKeeper, where nothing says that it will take longer.
const REGISTERING_PATIENCE: Duration = Duration::from_secs(10);
/// How long it is waited until another server leads, when this one stops.
const HAND_OVER_PATIENCE: Duration = Duration::from_secs(1);
/// How long unregistering may take when ZooKeeper does not answer.
const WITHDRAW_PATIENCE: Duration = Duration::from_secs(3);

/// Serves `folder` until it is told to stop. Called on the main thread before any other exists.
///
/// # Errors
/// The server cannot start, or cannot go on; the error says what to do.
pub fn run(config: Config, folder: ServerFolder, options: RunOptions) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| lacking("start the event loop", error))?;
    let served = LocalSet::new().block_on(&runtime, serve(config, folder, options));
    // Whatever still runs serves nobody any more.
    runtime.shutdown_background();
    served
}

async fn serve(mut config: Config, folder: ServerFolder, options: RunOptions) -> Result<(), Error> {
    let clock = Clock::start();
    let shares = Shares::of(&config, system::descriptors_max())?;
    let mut notes = options.notes;
    notes.extend(shares.note(&config));
    notes.extend(security::note(&config));
    for note in &notes {
        warn!(note, "a limit of the process");
    }
    let mut taken = Taken::take(&config, shares)?;
    let mut signals = Signals::listen().map_err(|error| lacking("listen for signals", error))?;
    options.readiness.doing("reading what is on disk");
    limits::find_threads(THREADS_MIN).map_err(|error| lacking("start threads", error))?;
    let folders = ours::take(&config, &folder, options.accept_loss)?;
    let secured = Security::of(&config, &folder)?;
    let (disk, backend) = open_disk(&config)?;
    let disk_ready = watch(&disk)?;
    let started = startup::open(Start {
        config: &config,
        folder: &folder,
        accept_loss: options.accept_loss,
        disk: Box::new(disk),
        random: system::random().map_err(|error| lacking("read random bytes", error))?,
        system: system::facts(),
        ports: taken.ports(),
        levels: Levels::OWN,
    })?;
    if started.holds_broker() {
        // Its port is free, so that clients learn at once that nobody serves there.
        (config.broker, taken.broker) = (None, None);
    }
    let ports = taken.ports();
    info!(
        %backend,
        start_ms = clock.now().as_millis(),
        "what is on disk is read"
    );

    let shell = Shell::new(started, clock, backend, shares, secured);
    let turns = spawn_local(Rc::clone(&shell).take_turns(disk_ready));
    shell.turn.notify_one();
    tokio::select! {
        () = shell.serving.notified() => {}
        () = shell.failed.notified() => return Err(shell.failure()),
    }
    let mut listeners = taken.listen(&shell)?;
    listeners.extend(dial::all(&shell, settings::dialed(&config)));
    if let Some(certificates) = shell.security.certificates() {
        let renewal = renewal::keep(Rc::clone(&shell), Rc::clone(certificates));
        listeners.push(spawn_local(renewal));
    }
    let control::Listening {
        task: control,
        commands,
        wants_space,
    } = control::listen(&folder, shell.clock)?;
    if wants_space {
        shell.handle(Event::NoSpace);
    }
    let mut server = Server {
        shell,
        ports,
        config,
        folder,
        readiness: options.readiness,
        notes,
        listeners,
        commands,
        state: ServerState::Serving,
    };
    server.start_registry();
    control::tell_unshown(&server.shell.node.borrow().unshown());
    info!(%ports, start_ms = server.shell.clock.now().as_millis(), "serving");
    let ended = server.serve(&mut signals).await;
    control.abort();
    turns.abort();
    drop(folders);
    ended
}

/// A server whose ports serve.
pub(super) struct Server {
    pub(super) shell: Rc<Shell>,
    pub(super) ports: Ports,
    pub(super) config: Config,
    pub(super) folder: ServerFolder,
    readiness: Readiness,
    /// What an operator should know of the process's limits.
    pub(super) notes: Vec<String>,
    listeners: Vec<JoinHandle<()>>,
    commands: mpsc::Receiver<control::Asked>,
    pub(super) state: ServerState,
}

impl Server {
    /// Serves until a signal, a command or a failure ends it.
    async fn serve(&mut self, signals: &mut Signals) -> Result<(), Error> {
        let mut alive = self.readiness.alive_every().map(tokio::time::interval);
        let mut starting = true;
        let mut settled = std::pin::pin!(self.settled());
        loop {
            tokio::select! {
                signal = signals.next() => match signal {
                    Signal::Stop => return self.stop().await,
                    Signal::Reload => {
                        control::settle(&self.folder).await;
                        self.reload_by_signal();
                    }
                },
                Some(asked) = self.commands.recv() => {
                    if self.answer(asked) {
                        return self.stop().await;
                    }
                }
                () = self.shell.failed.notified() => return Err(self.shell.failure()),
                () = self.shell.topics_changed.notified() => self.tell_registry(),
                () = next(&mut alive) => self.readiness.alive(),
                () = &mut settled, if starting => {
                    starting = false;
                    let obstacles = self.shell.obstacles();
                    self.readiness.serving(&self.ports, &obstacles);
                }
            }
        }
    }

    /// Resolves when clients find the broker, or when that is known to take long: a ZooKeeper that is away keeps
    /// nobody from starting.
    fn settled(&self) -> impl Future<Output = ()> + use<> {
        let registry = self.shell.registry.borrow();
        let settled = registry.as_ref().map(Registry::settled);
        async move {
            if let Some(settled) = settled {
                // In vain or not, the start goes on.
                let _ = tokio::time::timeout(REGISTERING_PATIENCE, settled).await;
            }
        }
    }

    fn start_registry(&mut self) {
        let Some(broker) = &self.config.broker else {
            return;
        };
        let Some(options) = settings::registry(broker, self.ports.coordinator) else {
            return;
        };
        if let Some(wanted) = self.wanted() {
            let (registry, answers) = Registry::start(options, wanted);
            *self.shell.registry.borrow_mut() = Some(registry);
            spawn_local(Rc::clone(&self.shell).take_answers(answers));
        }
    }

    /// How clients are to see the broker now.
    fn wanted(&self) -> Option<registry::Wanted> {
        let broker = self.config.broker.as_ref()?;
        let port = self
            .ports
            .broker
            .map_or(broker.port, |address| address.port());
        Some(registry::Wanted {
            broker: self.config.id,
            url: settings::broker_url(&broker.advertised_host, port),
            config_checksum: self.config.source.checksum,
            topics: self.shell.node.borrow().registered_topics(),
        })
    }

    pub(super) fn tell_registry(&mut self) {
        if let (Some(registry), Some(wanted)) =
            (self.shell.registry.borrow().as_ref(), self.wanted())
        {
            registry.want(wanted);
        }
    }

    fn reload_by_signal(&mut self) {
        if let Err(mistakes) = self.reload() {
            error!(%mistakes, "no topic changed");
        }
    }

    /// Stops in order: out of ZooKeeper, no new clients, everything on disk.
    async fn stop(&mut self) -> Result<(), Error> {
        info!("stopping");
        self.readiness.stopping();
        self.state = ServerState::Stopping;
        let registry = self.shell.registry.borrow_mut().take();
        let stuck = self.shell.node.borrow().is_stuck();
        if let Some(registry) = registry.filter(|_| !stuck || !self.is_its_own_zookeeper()) {
            registry.withdraw(WITHDRAW_PATIENCE).await;
            self.let_clients_leave(settings::drain(&self.config)).await;
        }
        self.hand_over().await;
        for listener in self.listeners.drain(..) {
            listener.abort();
        }
        self.shell.handle(Event::Stop);
        tokio::select! {
            () = self.shell.stopped.notified() => info!("stopped: everything is on disk"),
            () = self.shell.failed.notified() => return Err(self.shell.failure()),
            () = self.stuck() => {
                warn!(
                    "stopped although the disk does not take what is to be written; what was acknowledged is in the journal"
                );
            }
            () = tokio::time::sleep(STOP_PATIENCE) => {
                warn!("stopped before everything was checkpointed; the next start reads it from the journal");
            }
        }
        Ok(())
    }

    /// Where this server leads others, lets another one lead: they need not find out that it is gone.
    async fn hand_over(&self) {
        const LOOK_EVERY: Duration = Duration::from_millis(10);
        let node = &self.shell.node;
        if !node.borrow().leads_others() {
            return;
        }
        self.shell.handle(Event::Ensemble(EnsembleWish::HandOver));
        let led = async {
            while node.borrow().is_needed_to_lead() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        match tokio::time::timeout(HAND_OVER_PATIENCE, led).await {
            Ok(()) => info!("another server leads"),
            Err(_) => info!("no other server leads yet; they elect one when this one is gone"),
        }
    }

    /// Resolves when it makes no sense to wait for the disk any longer.
    async fn stuck(&self) {
        loop {
            tokio::time::sleep(STUCK_PATIENCE).await;
            if self.shell.node.borrow().is_stuck() {
                return;
            }
        }
    }

    /// Whether the broker registers in this server's own coordinator.
    fn is_its_own_zookeeper(&self) -> bool {
        let broker = self.config.broker.as_ref();
        broker.is_some_and(|broker| broker.zookeeper.at == ZookeeperAt::BuiltIn)
    }

    /// Goes on serving until the broker's clients have left, but not longer than `drain`.
    async fn let_clients_leave(&self, drain: Duration) {
        const LOOK_EVERY: Duration = Duration::from_millis(20);
        let clients = || self.shell.node.borrow().connection_count(Port::Broker);
        if drain.is_zero() || clients() == 0 {
            return;
        }
        info!(
            clients = clients(),
            drain_s = drain.as_secs(),
            "clients have time to leave"
        );
        let left = async {
            while clients() > 0 {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        if tokio::time::timeout(drain, left).await.is_err() {
            info!(
                clients = clients(),
                "clients that are still here are sent away"
            );
        }
    }
}

/// The next tick of an interval, if there is one.
async fn next(interval: &mut Option<Interval>) {
    match interval {
        Some(interval) => drop(interval.tick().await),
        None => std::future::pending().await,
    }
}

/// A port, taken and silent.
struct TakenPort {
    bound: Bound,
    /// Of port 0, the one the kernel chose.
    address: SocketAddr,
    census: Census,
}

/// The server's ports, taken and silent.
struct Taken {
    coordinator: Option<TakenPort>,
    broker: Option<TakenPort>,
    peers: Option<TakenPort>,
    web: Option<TakenPort>,
}

impl Taken {
    fn take(config: &Config, shares: Shares) -> Result<Taken, Error> {
        let most = shares.connections;
        Ok(Taken {
            coordinator: take(settings::coordinator_port(config, most))?,
            broker: take(settings::broker_port(config, most))?,
            peers: take(settings::peers_port(config))?,
            web: take(settings::web_port(config))?,
        })
    }

    fn ports(&self) -> Ports {
        let address = |taken: &Option<TakenPort>| taken.as_ref().map(|taken| taken.address);
        Ports {
            coordinator: address(&self.coordinator),
            broker: address(&self.broker),
            web: address(&self.web),
        }
    }

    /// Lets clients come to all ports.
    fn listen(self, shell: &Rc<Shell>) -> Result<Vec<JoinHandle<()>>, Error> {
        let mut tasks = Vec::new();
        for (port, taken) in [
            (Port::Coordinator, self.coordinator),
            (Port::Broker, self.broker),
            (Port::Peers, self.peers),
        ] {
            if let Some(TakenPort { bound, census, .. }) = taken {
                let accept = Rc::clone(shell).accept(port, start_listening(bound)?, census);
                tasks.push(spawn_local(accept));
            }
        }
        if let Some(TakenPort { bound, census, .. }) = self.web {
            let listener = start_listening(bound)?;
            tasks.push(spawn_local(web::serve(Rc::clone(shell), listener, census)));
        }
        Ok(tasks)
    }
}

fn take(listening: Option<Listening>) -> Result<Option<TakenPort>, Error> {
    let Some(Listening {
        key,
        address,
        census,
    }) = listening
    else {
        return Ok(None);
    };
    let taken = Bound::take(address).and_then(|bound| {
        Ok(TakenPort {
            address: bound.address()?,
            bound,
            census,
        })
    });
    let taken = taken.map_err(|error| refused(key, address, error))?;
    if taken.address.is_ipv4() && address.is_ipv6() {
        warn!(
            key,
            address = %taken.address,
            "this machine has no IPv6: listening on all its IPv4 addresses"
        );
    }
    Ok(Some(taken))
}

fn refused(key: &str, address: SocketAddr, error: std::io::Error) -> Error {
    use std::io::ErrorKind;
    let (code, cure) = match error.kind() {
        ErrorKind::AddrInUse => (
            Code::E0101,
            format!(
                "See who has it: ss -ltnp 'sport = :{}'; or set another {key}.",
                address.port()
            ),
        ),
        _ if is_absent(&error) => {
            let listen = key.replace("port", "listen");
            let v6 = match address.is_ipv6() {
                true => "; without IPv6 that is an IPv4 one, or \"::\" for all there are",
                false => "",
            };
            (
                Code::E0107,
                format!("Set {listen} to an address of this host{v6}."),
            )
        }
        _ if Class::of(&error) == Class::Exhausted => (Code::E0111, LIMIT_CURE.to_owned()),
        _ => (
            Code::E0103,
            format!("Set another {key}; ports below 1024 need a privilege."),
        ),
    };
    Error::new(code, format!("listen on {address} ({key})"))
        .because(error)
        .means("The server does not start; nothing was changed.")
        .cure(cure)
}

fn start_listening(bound: Bound) -> Result<TcpListener, Error> {
    bound.listen().map_err(|error| {
        Error::new(Code::E0101, "listen on a port that was free a moment ago")
            .because(error)
            .means("The server stops again.")
            .cure("Start it again.")
    })
}

/// The disk's descriptor, as something a task can wait for.
#[allow(
    deprecated,
    reason = "an owned descriptor stays open as long as it is watched, and what replaces this is unsafe"
)]
fn watch(disk: &Files) -> Result<AsyncFd<OwnedFd>, Error> {
    disk.as_fd()
        .try_clone_to_owned()
        .and_then(AsyncFd::new)
        .map_err(|error| lacking("watch the disk", error))
}

fn open_disk(config: &Config) -> Result<(Files, Chosen), Error> {
    let files = Files::new(&settings::disk(config));
    let files = files.map_err(|error| match error {
        NewError::Ring(_) => Error::new(Code::E0110, "set up io_uring")
            .because(error)
            .means("The server does not start.")
            .cure("Set disk.backend to \"auto\" or \"threads\"."),
        NewError::Lacking(_) => lacking("start the threads that write the disk", error),
    })?;
    let chosen = files.chosen().clone();
    Ok((files, chosen))
}
