//! Which brokers a command talks to, and what to tell when that does not work.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, Instant};

use chrono::{DateTime, SecondsFormat, Utc};

use super::{config_error, place, progress, server};
use crate::broker::made_at;
use crate::client::metaq::{Address, Brokers, Client, Error, Options, Registered, Side, ZooKeeper};
use crate::client::rebalance::{NotAPartition, Partition};
use crate::config::{self, ServerFolder, ZookeeperAt};
use crate::report::{self, Code, shell_word};
use crate::wire::metaq::StatusCode;

/// Where ZooKeeper is, where nothing is said.
const ZOOKEEPER: &str = "127.0.0.1:2181";

/// The node of the brokers, where nothing else is said.
const ROOT: &str = "/meta";

/// How long a broker that is there may take to register its topics.
const REGISTERING_MAX: Duration = Duration::from_millis(500);
/// How often to look whether it has.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long to wait for a broker where there is none.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Which brokers to talk to.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct BrokersArgument {
    /// Find the brokers in this ZooKeeper [default: that of the server folder one stands in, or of
    /// CHRYSALIS_FOLDER, or CHRYSALIS_SERVER, otherwise 127.0.0.1:2181]
    #[arg(long, visible_alias = "server", value_name = "HOST:PORT,...")]
    zookeeper: Option<String>,
    /// The node in ZooKeeper below which the brokers register
    #[arg(long, value_name = "PATH", default_value = ROOT)]
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
        self.client_with(Options::default())
    }

    /// One whose connections behave in a way of their own.
    pub(super) fn client_with(&self, options: Options) -> Result<Client, report::Error> {
        Ok(Client::new(self.brokers()?, options))
    }

    /// The end of a command that is suggested, about the server itself: its folder, or where to give the command.
    pub(super) fn in_folder(&self) -> String {
        let is_elsewhere = self.zookeeper.is_some() || self.broker.is_some();
        let known = match &self.folder {
            None if is_elsewhere => None,
            folder => place::found(folder.as_deref()),
        };
        place::in_folder(known.as_ref())
    }

    /// The options that lead to these brokers, as they were given, each behind a blank.
    pub(super) fn options(&self) -> String {
        let broker = self
            .broker
            .as_ref()
            .map(|address| ("broker", address.host_port()));
        let folder = self.folder.as_ref();
        let folder = folder.map(|folder| ("folder", folder.display().to_string()));
        let zookeeper = self.zookeeper.clone().map(|servers| ("zookeeper", servers));
        let root = (self.root != ROOT).then(|| ("root", self.root.clone()));
        [broker, folder, zookeeper, root]
            .into_iter()
            .flatten()
            .map(|(name, value)| format!(" --{name} {}", shell_word(&value)))
            .collect()
    }

    /// The same for `chrysalis zk`.
    fn coordinator_options(&self) -> String {
        let servers = self
            .zookeeper
            .as_ref()
            .map(|servers| ("server", servers.clone()));
        let folder = self.folder.as_ref();
        let folder = folder.map(|folder| ("folder", folder.display().to_string()));
        [servers, folder]
            .into_iter()
            .flatten()
            .map(|(name, value)| format!(" --{name} {}", shell_word(&value)))
            .collect()
    }

    /// What to do where nobody is reached.
    pub(super) fn reach(&self) -> String {
        let dir = self.in_folder();
        format!(
            "Start the server (chrysalis start{dir}), or name another one: --zookeeper HOST:PORT, \
             or --broker HOST:PORT."
        )
    }

    /// The one broker that was named, if one was.
    pub(super) fn direct(&self) -> Option<&Address> {
        self.broker.as_ref()
    }

    fn brokers(&self) -> Result<Brokers, report::Error> {
        if let Some(address) = &self.broker {
            return Ok(Brokers::Direct(address.clone()));
        }
        let zookeeper = match &self.zookeeper {
            Some(servers) => self.zookeeper_at(servers),
            None => match place::found(self.folder.as_deref()) {
                Some(folder) => of_folder(&folder)?,
                None => {
                    let servers = place::servers_of_environment();
                    self.zookeeper_at(servers.as_deref().unwrap_or(ZOOKEEPER))
                }
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

/// What a command is about to do with a topic, for what is told when it does not work.
#[derive(Clone, Copy, Debug)]
pub(super) struct Errand<'a> {
    pub(super) brokers: &'a BrokersArgument,
    pub(super) topic: &'a str,
    pub(super) side: Side,
}

impl Errand<'_> {
    /// What it is, in words.
    pub(super) fn what(&self) -> String {
        match self.side {
            Side::Producers => format!("send to {}", self.topic),
            Side::Consumers => format!("read {}", self.topic),
        }
    }

    /// Returns when a broker has the topic. One that has just been started may still be registering: where there
    /// is no broker at all, one is waited for; where there are others, that none has the topic is told at once.
    pub(super) async fn find_topic(
        &self,
        client: &Client,
        patience: Duration,
    ) -> Result<(), report::Error> {
        let began = Instant::now();
        let mut waiting = None;
        loop {
            let registered = match client.registered(self.topic, self.side).await {
                Err(Error::NeedsZooKeeper(_)) => return Ok(()),
                other => other.map_err(|error| self.explain(error, &self.what()))?,
            };
            match registered {
                Registered::Topic => return Ok(()),
                Registered::OtherTopics(others) if began.elapsed() >= REGISTERING_MAX => {
                    let others = others.iter().map(String::as_str);
                    return Err(self.no_topic(config::suggest(self.topic, others)));
                }
                Registered::NoBroker if began.elapsed() >= patience => {
                    let reason = format!("{}: no broker is registered in ZooKeeper", self.what());
                    return Err(report::Error::new(Code::E0401, reason)
                        .means(self.nothing())
                        .cure(self.brokers.reach()));
                }
                Registered::OtherTopics(_) | Registered::NoBroker => {}
            }
            waiting.get_or_insert_with(|| progress::wheel("waiting for a broker"));
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    fn no_topic(&self, near: Option<&str>) -> report::Error {
        let hint = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
        let (what, topic, dir) = (self.what(), self.topic, self.brokers.in_folder());
        report::Error::new(Code::E0303, format!("{what}: no broker has topic {topic}{hint}"))
            .means("Nothing was done.")
            .cure(format!(
                "Make it: chrysalis topic create {topic}{dir}. See what there is: chrysalis topic list{dir}."
            ))
    }

    fn nothing(&self) -> &'static str {
        match self.side {
            Side::Producers => "Nothing was sent.",
            Side::Consumers => "Nothing was changed.",
        }
    }

    /// What an operator is told when something went wrong between us and the brokers.
    pub(super) fn explain(&self, error: Error, what: &str) -> report::Error {
        self.explain_told(&error, what).because(error)
    }

    /// The same where `what` tells the error already.
    pub(super) fn explain_told(&self, error: &Error, what: &str) -> report::Error {
        let (code, means, cure) = match error {
            Error::Resolve(_) | Error::Connect { .. } | Error::ZooKeeper { .. } => {
                (Code::E0401, self.nothing(), self.brokers.reach())
            }
            Error::NoTopic { .. } | Error::NoPartition { .. } => {
                let options = self.brokers.coordinator_options();
                let cure = format!(
                    "Is it configured, and is its broker up? chrysalis zk{options} ls -R /meta/brokers shows what there is."
                );
                (Code::E0303, self.nothing(), cure)
            }
            Error::Refused { code, text, .. } => {
                let means = match self.side {
                    Side::Producers => "It was not stored.",
                    Side::Consumers => self.nothing(),
                };
                (Code::E0402, means, self.cure_of_refusal(*code, text))
            }
            Error::Disconnected { .. } | Error::Timeout { .. } => match self.side {
                Side::Producers => {
                    let again = self.brokers.options();
                    let topic = self.topic;
                    let cure = format!(
                        "Look whether it is there before sending it again: chrysalis consume {topic}{again} --verbose."
                    );
                    (Code::E0403, "Whether it is stored is not known.", cure)
                }
                Side::Consumers => {
                    let dir = self.brokers.in_folder();
                    let cure = format!(
                        "Look whether the broker is up (chrysalis status{dir}), and ask again."
                    );
                    (Code::E0403, self.nothing(), cure)
                }
            },
            Error::Protocol { .. } | Error::Answer { .. } | Error::Node { .. } => (
                Code::E0404,
                "The connection was given up.",
                "Check that this is a broker's port.".to_owned(),
            ),
            Error::NotAMessage { .. } => (
                Code::E0409,
                "What is before it was read.",
                "If the messages there can be done without, move the group's position behind them."
                    .to_owned(),
            ),
            Error::Name { .. } | Error::NeedsZooKeeper(_) | Error::Closed => (
                Code::E0402,
                self.nothing(),
                format!("chrysalis {} --help says what is possible.", self.command()),
            ),
        };
        report::Error::new(code, what).means(means).cure(cure)
    }

    fn command(&self) -> &'static str {
        match self.side {
            Side::Producers => "produce",
            Side::Consumers => "consume",
        }
    }

    /// What helps against a refusal. The status alone does not tell: most are 500, and the text says why.
    fn cure_of_refusal(&self, code: StatusCode, text: &str) -> String {
        let (dir, topic) = (self.brokers.in_folder(), self.topic);
        if text.contains(" bytes, more than the ") {
            "Send less at a time, or let the broker take more: broker.message_bytes_max in its server.toml, \
             then a restart (chrysalis explain broker.message_bytes_max)."
                .to_owned()
        } else if code == StatusCode::FORBIDDEN {
            format!(
                "An operator has closed the partition. Open it: chrysalis partition open {topic}{dir}."
            )
        } else if text.contains("not accept topic") {
            format!("Make it: chrysalis topic create {topic}{dir}.")
        } else if text.contains("wrong partition") {
            format!("See the partitions there are: chrysalis topic describe {topic}{dir}.")
        } else if text.contains(" is full") {
            "Make room: chrysalis explain E0204 says how.".to_owned()
        } else if text.contains("is damaged") {
            format!(
                "chrysalis explain E0203 says what to do. This leads consumers on behind it: \
                 chrysalis partition skip-damage {topic} {}{dir}.",
                refused_partition(text)
            )
        } else {
            format!("Look at the broker's log, and at what it accepts: chrysalis topic list{dir}.")
        }
    }
}

/// The number of the partition that a broker's refusal names, as in `[partition 'orders-3']`.
fn refused_partition(text: &str) -> &str {
    let named = text.split_once("[partition '");
    let named = named.and_then(|(_, rest)| rest.split_once('\''));
    let number = named.and_then(|(name, _)| name.rsplit_once('-'));
    let number = number.filter(|(_, number)| number.parse::<u32>().is_ok());
    number.map_or("PARTITION", |(_, number)| number)
}

/// When a message was stored, as its id tells it; in UTC, as in RFC 3339.
pub(super) fn id_time(id: i64) -> Option<String> {
    let made = DateTime::<Utc>::from_timestamp_millis(made_at(id)?.0)?;
    Some(made.to_rfc3339_opts(SecondsFormat::Millis, true))
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

    #[test]
    fn what_is_suggested_goes_where_the_command_went() {
        let given = |broker: Option<&str>, folder: Option<&str>, zookeeper: Option<&str>| {
            let zookeeper = zookeeper.map(str::to_owned);
            BrokersArgument {
                root: ROOT.to_owned(),
                broker: broker.map(|text| text.parse().expect("an address")),
                folder: folder.map(PathBuf::from),
                zookeeper,
            }
        };
        let folder = given(None, Some("/srv/it's one"), None);
        assert_eq!(folder.options(), r" --folder '/srv/it'\''s one'");
        assert_eq!(folder.in_folder(), r" --folder '/srv/it'\''s one'");
        let broker = given(Some("[::1]:9"), None, None);
        assert_eq!(broker.options(), " --broker '[::1]:9'");
        assert_eq!(broker.in_folder(), ", in the server's folder");
        let zookeeper = given(None, None, Some("a:1,b:2"));
        assert_eq!(zookeeper.options(), " --zookeeper a:1,b:2");
        assert_eq!(zookeeper.coordinator_options(), " --server a:1,b:2");
    }

    #[test]
    fn a_refusal_names_what_helps_against_it() {
        let brokers = BrokersArgument {
            root: ROOT.to_owned(),
            broker: None,
            folder: Some("/srv/server1".into()),
            zookeeper: None,
        };
        let errand = Errand {
            brokers: &brokers,
            topic: "orders",
            side: Side::Producers,
        };
        let told = |text: &str| {
            let error = Error::Refused {
                address: "h:1".parse().expect("an address"),
                code: StatusCode::INTERNAL_SERVER_ERROR,
                text: text.to_owned(),
            };
            errand.explain(error, "send to orders").to_string()
        };
        for (text, cure) in [
            (
                "The message has 9 bytes, more than the 8 permitted here.",
                "broker.message_bytes_max",
            ),
            (
                "The server do not accept topic orders",
                "chrysalis topic create orders --folder /srv/server1",
            ),
            (
                "wrong partition 9",
                "chrysalis topic describe orders --folder /srv/server1",
            ),
            ("disk is full: messages can be read", "explain E0204"),
            (
                "Get messages from [broker 'meta://h:1'] [partition 'or-ders-3'] failed.Detail:the record at 23 is damaged",
                "chrysalis partition skip-damage orders 3 --folder /srv/server1",
            ),
        ] {
            let told = told(text);
            assert!(told.contains(cure), "{told}");
        }
    }
}
