//! `chrysalis bench broker`: messages a second, and how long each takes, of any MetaQ broker.
//!
//! Public protocol only, so that the original is measured by the same command in the same minute. The client
//! often shares the machine with the broker, and so is meant to cost little: one thread, frames made once,
//! the replies of one read taken together, one write for what they free. `--ceiling` tells how
//! little: the same client against a broker in this process that answers without doing anything.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Subcommand, value_parser};
use tokio::net::TcpStream;

use super::interrupt::{Interrupt, interrupted};
use super::zk::runtime;
use super::{config_error, place, progress, server};
use crate::client::metaq::Address;
use crate::config;
use crate::net::resolve;
use crate::report::{self, Code};

mod end_to_end;
mod frames;
mod get;
mod instant_broker;
mod measured;
mod put;
mod socket;

/// The port of brokers, where none is said.
const PORT: u16 = 8123;

/// Measure a broker, ours or Metamorphosis
///
/// The broker must accept the topic, with at least as many partitions as are used. Make one for it:
/// `chrysalis topic create bench:4`. The messages stay there until retention deletes them.
#[derive(Debug, clap::Args)]
pub(super) struct BenchBroker {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Put(put::Put),
    Get(get::Get),
    Latency(end_to_end::Latency),
}

impl BenchBroker {
    /// Measures, and tells what came out.
    pub(super) fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let runtime = runtime()?;
        let mut interrupt = Interrupt::listen()?;
        let waiting = progress::countdown("measuring the broker", self.what.time());
        let (measured, json) = match self.what {
            What::Put(put) => (runtime.block_on(interrupt.or(put.measure())), put.show.json),
            What::Get(get) => (runtime.block_on(interrupt.or(get.measure())), get.show.json),
            What::Latency(latency) => (
                runtime.block_on(latency.measure(&mut interrupt)),
                latency.show.json,
            ),
        };
        let measured = measured.unwrap_or_else(|| Err(interrupted("measure the broker").into()))?;
        drop(waiting);
        match json {
            true => writeln!(out, "{}", measured.json())?,
            false => write!(out, "{measured}")?,
        }
        Ok(())
    }
}

impl What {
    /// How long it takes, about.
    fn time(&self) -> Duration {
        let of_subject = |subject: &Subject| (subject.warm_up(), subject.seconds());
        let ((warm_up, seconds), show) = match self {
            What::Put(put) => (of_subject(&put.subject), &put.show),
            What::Get(get) => (of_subject(&get.subject), &get.show),
            What::Latency(latency) => {
                let seconds = Duration::from_secs(latency.seconds.into());
                ((Duration::ZERO, seconds), &latency.show)
            }
        };
        let of_disk = if show.disk.is_some() {
            seconds
        } else {
            Duration::ZERO
        };
        warm_up + seconds + of_disk
    }
}

/// Which broker is measured, and for how long.
#[derive(Clone, Debug, clap::Args)]
struct Subject {
    /// The broker [default: that of the server folder one stands in, or of CHRYSALIS_FOLDER, otherwise 127.0.0.1:8123]
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "folder")]
    broker: Option<Address>,
    /// The broker of the server in this folder
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// The topic
    #[arg(long, value_name = "NAME", default_value = "test")]
    topic: String,
    /// How many of the topic's partitions to use, from 0 on
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value_parser!(u16).range(1..))]
    partitions: u16,
    /// How long to measure
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// How long to ask before measuring
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = value_parser!(u32).range(0..=3_600))]
    warm_up: u32,
    /// Measure this client instead, against a broker in this process that does nothing
    #[arg(long, conflicts_with_all = ["broker", "folder"])]
    ceiling: bool,
}

/// How what came out is shown.
#[derive(Clone, Debug, clap::Args)]
struct Show {
    /// Measure the disk of this folder first, and show it, too
    #[arg(long, value_name = "DIR")]
    disk: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Subject {
    /// Where the broker is, by number and by name. For the ceiling it is started here.
    async fn address(&self) -> anyhow::Result<(SocketAddr, String)> {
        if self.ceiling {
            let address = instant_broker::start().context("start the instant broker")?;
            return Ok((address, "a broker that answers at once".to_owned()));
        }
        let Some(broker) = &self.broker else {
            let address = self.of_folder()?;
            return Ok((address, format!("meta://{address}")));
        };
        let name = broker.to_string();
        let unknown = |error| {
            report::Error::new(Code::E0401, format!("find {name}"))
                .because(error)
                .cure("Name a broker as --broker HOST:PORT.")
        };
        let found = resolve::addresses(&broker.host_port())
            .await
            .map_err(unknown)?;
        // Of a name's addresses the broker may listen on one alone.
        for address in &found {
            if TcpStream::connect(address).await.is_ok() {
                return Ok((*address, name));
            }
        }
        let first = found.first().context("the name has no address")?;
        Ok((*first, name))
    }

    /// The broker of a folder, or where there is none, the one that a server on this machine has unless told otherwise.
    fn of_folder(&self) -> Result<SocketAddr, report::Error> {
        let Some(folder) = place::found(self.folder.as_deref()) else {
            return Ok(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), PORT));
        };
        let config = config::load(&folder).map_err(config_error)?;
        let Some(broker) = config.broker else {
            let what = format!("the server in {} has no broker", folder.root().display());
            return Err(report::Error::new(Code::E0401, what)
                .means("Nothing was measured.")
                .cure("Name another one: --broker HOST:PORT."));
        };
        server::broker_address(&folder, &broker)
    }

    fn warm_up(&self) -> Duration {
        Duration::from_secs(self.warm_up.into())
    }

    fn seconds(&self) -> Duration {
        Duration::from_secs(self.seconds.into())
    }
}
