//! `chrysalis bench coordinator`: requests a second, and how long each takes, of any ZooKeeper.
//!
//! Closed loop: each connection keeps so many requests in flight and sends another when one is answered.
//! The client is meant to cost little, because it often shares the machine with the server: one thread,
//! requests patched into a template, replies of one read taken together, one write for what they free.
//! `--ceiling` tells how little: the same client against a server that answers without doing anything.

use std::cell::Cell;
use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use clap::ValueEnum;

use super::interrupt::{Interrupt, interrupted};
use super::progress;
use super::zk::{CoordinatorArgument, runtime};
use crate::client::zookeeper::{Client, Error, Options};
use crate::coordinator::{Acl, Create, CreateMode, Delete, Request};

mod instant_server;
mod load;
mod result;
mod template;

use load::Load;
use result::Measured;
use template::Template;

/// Znodes deleted between two looks at the replies.
const DELETE_AT_ONCE: usize = 10_000;

/// How long removing them may take after Ctrl-C; a second one ends it.
const REMOVE_MAX: Duration = Duration::from_secs(600);

/// Measure a coordinator, ours or any ZooKeeper
///
/// Makes a znode /chrysalis-bench-… for its own znodes, and deletes it at the end.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    chrysalis bench coordinator --operation set --connections 16 --in-flight 64\n  \
    chrysalis bench coordinator --operation get --server 127.0.0.1:2182 --json\n  \
    chrysalis bench coordinator --operation get --ceiling")]
pub(super) struct BenchCoordinator {
    #[command(flatten)]
    server: CoordinatorArgument,
    /// What to ask for again and again
    #[arg(long, value_enum, default_value_t = Operation::Set)]
    operation: Operation,
    /// Connections, each with a session and a znode of its own
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,
    /// Requests that each connection has under way
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    in_flight: u32,
    /// Bytes of data in each znode
    #[arg(long, value_name = "BYTES", default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    size: u32,
    /// How long to measure
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// How long to ask before measuring
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u32).range(0..=3_600))]
    warm_up: u32,
    /// Measure this client instead, against a server in this process that does nothing
    #[arg(long, conflicts_with_all = ["server", "folder"])]
    ceiling: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Operation {
    /// Replace the data of a znode
    Set,
    /// Read the data of a znode
    Get,
    /// Make a znode
    Create,
}

impl BenchCoordinator {
    /// Measures, and tells what came out.
    pub(super) fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let time = Duration::from_secs(u64::from(self.warm_up) + u64::from(self.seconds));
        let waiting = progress::countdown("measuring the coordinator", time);
        let measured = runtime()?.block_on(self.measure())?;
        drop(waiting);
        match self.json {
            true => writeln!(out, "{}", measured.json())?,
            false => write!(out, "{measured}")?,
        }
        measured.check()
    }

    async fn measure(&self) -> anyhow::Result<Measured> {
        let mut interrupt = Interrupt::listen_within(REMOVE_MAX)?;
        let (server, client) = if self.ceiling {
            let address = instant_server::start(self.data()).context("start the instant server")?;
            let client = Client::connect(address, Options::default()).await;
            let client = client.context("connect to the instant server")?;
            (
                (address, "a server that answers at once".to_owned()),
                client,
            )
        } else {
            let (client, server) = self.server.connect().await?;
            ((server.address, server.to_string()), client)
        };
        let (address, name) = server;
        let work = Work::new(self, name, &client);
        work.measure(client, address, &mut interrupt).await
    }

    fn data(&self) -> Bytes {
        vec![b'x'; self.size as usize].into()
    }
}

/// One measurement, and its place in the tree.
struct Work<'a> {
    bench: &'a BenchCoordinator,
    server: String,
    root: String,
}

impl<'a> Work<'a> {
    fn new(bench: &'a BenchCoordinator, server: String, control: &Client) -> Work<'a> {
        // The session makes the name unique among all who measure this server now.
        let root = format!("/chrysalis-bench-{:x}", control.session().session);
        Work {
            bench,
            server,
            root,
        }
    }

    /// Makes the znodes by `control`, measures, and removes them.
    async fn measure(
        self,
        mut control: Client,
        address: SocketAddr,
        interrupt: &mut Interrupt,
    ) -> anyhow::Result<Measured> {
        let znodes = self.znodes();
        self.make(&mut control, &znodes).await?;
        let stop = Rc::new(Cell::new(false));
        let loaded = {
            let mut load = pin!(self.load(address, &stop));
            tokio::select! {
                loaded = &mut load => loaded,
                () = interrupt.come() => {
                    // What is under way comes to its end, and so do the sessions.
                    stop.set(true);
                    let _loaded = load.await;
                    Err(interrupted("measure the coordinator").into())
                }
                never = keep_alive(&mut control) => match never {},
            }
        };
        // What was made goes away, also when it did not end well.
        let names = match (&loaded, self.bench.operation) {
            (Ok(load), Operation::Create) => self.created(load),
            _ => znodes,
        };
        let removed = self.remove(&mut control, names).await;
        // A session that cannot be ended ends by itself.
        let _ended = control.close().await;
        let load = loaded?;
        removed?;
        Ok(Measured::new(self.bench, self.server, &load))
    }

    /// The znodes that set and get work on, one a connection.
    fn znodes(&self) -> Vec<String> {
        match self.bench.operation {
            Operation::Create => Vec::new(),
            Operation::Set | Operation::Get => (0..self.bench.connections)
                .map(|connection| format!("{}/{connection}", self.root))
                .collect(),
        }
    }

    async fn make(&self, control: &mut Client, znodes: &[String]) -> anyhow::Result<()> {
        let create = |path: &String| {
            Request::Create(Create {
                path: path.clone().into(),
                data: Some(self.bench.data()),
                acl: vec![Acl::open()],
                mode: CreateMode::Persistent,
            })
        };
        let requests: Vec<Request> = std::iter::once(&self.root)
            .chain(znodes)
            .map(create)
            .collect();
        let answers = control.call_all(&requests).await;
        let refused = answers.and_then(|answers| {
            let refused = answers.into_iter().find_map(Result::err);
            refused.map_or(Ok(()), |refused| Err(Error::Refused(refused)))
        });
        refused.with_context(|| format!("make {} on {}", self.root, self.server))
    }

    async fn load(&self, address: SocketAddr, stop: &Rc<Cell<bool>>) -> anyhow::Result<Load> {
        let bench = self.bench;
        let templates = (0..bench.connections).map(|connection| {
            let path = format!("{}/{connection}", self.root);
            Template::new(bench.operation, &path, bench.data())
        });
        load::run(
            address,
            templates.collect(),
            bench.in_flight as usize,
            Duration::from_secs(bench.warm_up.into()),
            Duration::from_secs(bench.seconds.into()),
            stop,
        )
        .await
        .with_context(|| format!("measure {}", self.server))
    }

    /// What was created under load.
    fn created(&self, load: &Load) -> Vec<String> {
        let connections = load.sent.iter().zip(0_u32..);
        connections
            .flat_map(|(sent, connection)| {
                let path = format!("{}/{connection}", self.root);
                (0..*sent).map(move |number| template::created(&path, number))
            })
            .collect()
    }

    async fn remove(&self, control: &mut Client, mut znodes: Vec<String>) -> anyhow::Result<()> {
        znodes.push(self.root.clone());
        for some in znodes.chunks(DELETE_AT_ONCE) {
            let requests: Vec<Request> = some
                .iter()
                .map(|path| {
                    Request::Delete(Delete {
                        path: path.clone().into(),
                        version: -1,
                    })
                })
                .collect();
            let answers = control.call_all(&requests).await;
            answers.with_context(|| format!("remove {} from {}", self.root, self.server))?;
        }
        Ok(())
    }
}

/// Keeps a session that has nothing to do. If it is lost, whoever needs it next is told.
async fn keep_alive(client: &mut Client) -> Infallible {
    while client.next_event().await.is_ok() {}
    std::future::pending().await
}

#[cfg(test)]
mod tests;
