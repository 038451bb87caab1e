//! Which brokers a command talks to, and what to tell when that does not work.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, Instant};

use super::{config_error, progress, server};
use crate::client::metaq::{Address, Brokers, Client, Error, Options, Registered, Side, ZooKeeper};
use crate::client::rebalance::{NotAPartition, Partition};
use crate::config::{self, ServerFolder, ZookeeperAt};
use crate::report::{self, Code};
use crate::wire::metaq::StatusCode;

/// Where ZooKeeper is, where nothing is said.
const ZOOKEEPER: &str = "127.0.0.1:2181";

/// How long a broker that is there may take to register its topics.
const REGISTERING_MAX: Duration = Duration::from_millis(500);
/// How often to look whether it has.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long to wait for a broker where there is none.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Which brokers to talk to.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct BrokersArgument {
    /// Find the brokers in this ZooKeeper [default: that of the server folder one stands in, otherwise
    /// 127.0.0.1:2181]
    #[arg(long, value_name = "HOST:PORT,...")]
    zookeeper: Option<String>,
    /// The node in ZooKeeper below which the brokers register
    #[arg(long, value_name = "PATH", default_value = "/meta")]
    root: String,
    /// Talk to this broker and to no other, without ZooKeeper
    #[arg(long, value_name = "HOST:PORT", conflicts_with_all = ["zookeeper", "root", "folder"])]
    broker: Option<Address>,
    /// Talk to the brokers that the server in this folder belongs to
    #[arg(long, value_name = "DIR", conflicts_with_all = ["zookeeper", "root"])]
    folder: Option<PathBuf>,
}

impl BrokersArgument {
    /// A client of these brokers.
    pub(super) fn client(&self) -> Result<Client, report::Error> {
        Ok(Client::new(self.brokers()?, Options::default()))
    }

    /// The one broker that was named, if one was.
    pub(super) fn direct(&self) -> Option<&Address> {
        self.broker.as_ref()
    }

    fn brokers(&self) -> Result<Brokers, report::Error> {
        if let Some(address) = &self.broker {
            return Ok(Brokers::Direct(address.clone()));
        }
        let folder = || {
            let named = self.folder.as_ref().map(ServerFolder::new);
            named.or_else(server::folder_here)
        };
        let zookeeper = match &self.zookeeper {
            Some(servers) => self.zookeeper_at(servers),
            None => match folder() {
                Some(folder) => of_folder(&folder)?,
                None => self.zookeeper_at(ZOOKEEPER),
            },
        };
        Ok(Brokers::ZooKeeper(zookeeper))
    }

    fn zookeeper_at(&self, servers: &str) -> ZooKeeper {
        ZooKeeper {
            root: self.root.clone(),
            ..ZooKeeper::at(servers)
        }
    }
}

/// A partition as a person names it: `1-0`, or `0` of whatever broker has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PartitionArgument {
    /// The broker's id.
    pub(super) broker: Option<u16>,
    /// The number within the broker.
    pub(super) number: i32,
}

impl FromStr for PartitionArgument {
    type Err = NotAPartition;

    fn from_str(text: &str) -> Result<PartitionArgument, NotAPartition> {
        if let Ok(number) = text.parse::<u16>() {
            return Ok(PartitionArgument {
                broker: None,
                number: number.into(),
            });
        }
        let partition: Partition = text.parse()?;
        Ok(PartitionArgument {
            broker: Some(partition.broker),
            number: partition.number,
        })
    }
}

impl fmt::Display for PartitionArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&place(self.broker, self.number))
    }
}

/// How a partition is shown: `1-0`, or `0` where the broker's id is not known.
pub(super) fn place(broker: Option<u16>, partition: i32) -> String {
    match broker {
        Some(broker) => format!("{broker}-{partition}"),
        None => partition.to_string(),
    }
}

/// The ZooKeeper in which a server registers, as its own machine reaches it.
fn of_folder(folder: &ServerFolder) -> Result<ZooKeeper, report::Error> {
    let config = config::load(folder).map_err(config_error)?;
    let missing = |what| {
        let folder = folder.root().display();
        report::Error::new(Code::E0401, format!("the server in {folder} has no {what}"))
            .means("Nothing was asked.")
            .cure("Name the brokers: --zookeeper HOST:PORT, or --broker HOST:PORT.")
    };
    let broker = config.broker.ok_or_else(|| missing("broker"))?;
    let servers = match broker.zookeeper.at {
        ZookeeperAt::External(servers) => servers,
        ZookeeperAt::BuiltIn => {
            let coordinator = config.coordinator.ok_or_else(|| missing("coordinator"))?;
            server::coordinator_address(folder, &coordinator)?.to_string()
        }
    };
    Ok(ZooKeeper {
        root: broker.zookeeper.root,
        ..ZooKeeper::at(servers)
    })
}

/// Returns when a broker has the topic. One that has just been started may still be registering: where there
/// is no broker at all, one is waited for; where there are others, that none has the topic is told at once.
pub(super) async fn find_topic(
    client: &Client,
    topic: &str,
    side: Side,
    what: &str,
    patience: Duration,
) -> Result<(), report::Error> {
    let began = Instant::now();
    let mut waiting = None;
    loop {
        let registered = match client.registered(topic, side).await {
            Err(Error::NeedsZooKeeper(_)) => return Ok(()),
            other => other.map_err(|error| explain(error, what))?,
        };
        match registered {
            Registered::Topic => return Ok(()),
            Registered::OtherTopics(others) if began.elapsed() >= REGISTERING_MAX => {
                let others = others.iter().map(String::as_str);
                return Err(no_topic(topic, what, config::suggest(topic, others)));
            }
            Registered::NoBroker if began.elapsed() >= patience => {
                let reason = format!("{what}: no broker is registered in ZooKeeper");
                return Err(report::Error::new(Code::E0401, reason)
                    .means("Nothing was sent.")
                    .cure(REACH));
            }
            Registered::OtherTopics(_) | Registered::NoBroker => {}
        }
        waiting.get_or_insert_with(|| progress::wheel("waiting for a broker"));
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

fn no_topic(topic: &str, what: &str, near: Option<&str>) -> report::Error {
    let hint = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
    report::Error::new(Code::E0303, format!("{what}: no broker has topic {topic}{hint}"))
        .means("Nothing was done.")
        .cure(format!(
            "Make it with `chrysalis topic create DIR {topic}`; `chrysalis topic list DIR` shows what there is."
        ))
}

/// What to do where nobody is reached.
const REACH: &str = "Start the server (chrysalis start DIR), or name another one: --zookeeper HOST:PORT, \
     or --broker HOST:PORT.";

/// The same where messages were only read.
pub(super) fn explain_read(error: Error, what: &str) -> report::Error {
    let unanswered = matches!(error, Error::Disconnected { .. } | Error::Timeout { .. });
    let explained = explain(error, what).means("Nothing was changed.");
    match unanswered {
        true => {
            explained.cure("Look whether the broker is up (chrysalis status DIR), and ask again.")
        }
        false => explained,
    }
}

/// What an operator is told when something went wrong between us and the brokers.
pub(super) fn explain(error: Error, what: &str) -> report::Error {
    match error {
        Error::Resolve(_) | Error::Connect { .. } => report::Error::new(Code::E0401, what)
            .because(error)
            .means("It was not sent.")
            .cure(REACH),
        Error::ZooKeeper { .. } => report::Error::new(Code::E0401, what)
            .because(error)
            .cure(REACH),
        Error::NoTopic { .. } | Error::NoPartition { .. } => {
            report::Error::new(Code::E0303, what)
                .because(error)
                .means("Nothing was sent.")
                .cure("Is it configured, and is its broker up? chrysalis zk ls /meta/brokers shows what there is.")
        }
        Error::Refused { code, .. } => {
            let cure = match code {
                StatusCode::FORBIDDEN => "The partition is closed; an operator opens it again.",
                StatusCode::NOT_FOUND => "Look what there is: chrysalis topic list DIR.",
                _ => "Look at the broker's log; chrysalis topic list DIR shows what it accepts.",
            };
            report::Error::new(Code::E0402, what)
                .because(error)
                .means("It was not done.")
                .cure(cure)
        }
        Error::Disconnected { .. } | Error::Timeout { .. } => report::Error::new(Code::E0403, what)
            .because(error)
            .means("Whether it was done is not known.")
            .cure("Look at what is there before trying again."),
        Error::Protocol { .. } | Error::Answer { .. } | Error::Node { .. } => {
            report::Error::new(Code::E0404, what)
                .because(error)
                .means("The connection was given up.")
                .cure("Check that this is a broker's port.")
        }
        Error::Name { .. } | Error::NeedsZooKeeper(_) => report::Error::new(Code::E0402, what)
            .because(error)
            .means("Nothing was sent."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_may_be_named_without_its_broker() {
        let check = |text: &str, broker, number| {
            assert_eq!(text.parse(), Ok(PartitionArgument { broker, number }));
            assert_eq!(PartitionArgument { broker, number }.to_string(), text);
        };
        check("3", None, 3);
        check("1-3", Some(1), 3);
        assert!("x".parse::<PartitionArgument>().is_err());
    }
}
