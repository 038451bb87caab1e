//! Which coordinator a command talks to, and what to tell when that does not work.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::appliance::limits;
use crate::client::zookeeper::{Client, Error, Options, Refused};
use crate::config::{self, ServerFolder, ZookeeperAt};
use crate::coordinator::Refusal;
use crate::net::resolve;
use crate::operator::cli::brokers::quoted;
use crate::operator::cli::{LIMIT_CURE, config_error, place, server};
use crate::report::{self, Code};
use crate::wire::zookeeper::error_code;

/// Threads that a command and its libraries start.
const THREADS: usize = 5;
/// The port of coordinators, where none is said.
const PORT: u16 = 2181;

/// Which coordinator to talk to.
#[derive(Debug, Default, clap::Args)]
pub(in crate::operator::cli) struct CoordinatorArgument {
    /// The coordinator to talk to, or several, of which the first that answers is taken [default: that
    /// which the server uses whose folder one stands in, or of CHRYSALIS_FOLDER, or CHRYSALIS_SERVER, otherwise 127.0.0.1:2181]
    #[arg(
        long,
        visible_alias = "zookeeper",
        value_name = "HOST:PORT,...",
        global = true
    )]
    server: Option<String>,
    /// The coordinator that the server in this folder uses
    #[arg(long, value_name = "DIR", global = true, conflicts_with = "server")]
    folder: Option<PathBuf>,
}

/// A coordinator by the name it was asked for and the address that name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::operator::cli) struct Server {
    name: String,
    /// The options that lead there, as they were given, each behind a blank.
    options: String,
    /// Its folder for a command that is suggested, or `DIR`.
    dir: String,
    /// Where it is.
    pub(in crate::operator::cli) address: SocketAddr,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Server {
    /// The options that lead there, for a command that is to be pasted.
    pub(super) fn options(&self) -> &str {
        &self.options
    }
}

impl CoordinatorArgument {
    /// As if this had been said with `--server`.
    pub(in crate::operator::cli) fn named(server: String) -> CoordinatorArgument {
        CoordinatorArgument {
            server: Some(server),
            folder: None,
        }
    }

    /// Opens a session with the first that answers.
    pub(in crate::operator::cli) async fn connect(
        &self,
    ) -> Result<(Client, Server), report::Error> {
        let mut failure = None;
        for server in self.servers().await? {
            match Client::connect(server.address, Options::default()).await {
                Ok(client) => return Ok((client, server)),
                Err(error) => failure = Some(explain_connect(error, &server)),
            }
        }
        Err(failure.expect("a list of servers has at least one"))
    }

    /// All that were named, in order; at least one.
    async fn servers(&self) -> Result<Vec<Server>, report::Error> {
        if let Some(list) = &self.server {
            return resolved(list).await;
        }
        let options = self.folder.as_ref().map_or_else(String::new, |folder| {
            format!(" --folder {}", quoted(&folder.display().to_string()))
        });
        let folder = place::found(self.folder.as_deref());
        let dir = folder
            .as_ref()
            .map_or_else(|| "DIR".to_owned(), place::flag);
        let address = match &folder {
            Some(folder) => match of_folder(folder)? {
                Coordinator::Own(address) => address,
                Coordinator::Another(servers) => return resolved(&servers).await,
            },
            None => match place::servers_of_environment() {
                Some(list) => return resolved(&list).await,
                None => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), PORT),
            },
        };
        Ok(vec![Server {
            name: address.to_string(),
            options,
            dir,
            address,
        }])
    }
}

async fn resolved(list: &str) -> Result<Vec<Server>, report::Error> {
    let mut servers = Vec::new();
    for name in list.split(',').map(str::trim) {
        let with_port = match name.ends_with(']') || !name.contains(':') {
            true => format!("{name}:{PORT}"),
            false => name.to_owned(),
        };
        let addresses = resolve::addresses(&with_port).await.map_err(|error| {
            report::Error::new(Code::E0401, format!("find {name}"))
                .because(error)
                .means("Nothing was asked.")
                .cure("Name a server as --server HOST:PORT.")
        })?;
        servers.extend(addresses.into_iter().map(|address| Server {
            name: with_port.clone(),
            options: format!(" --server {}", quoted(list)),
            dir: "DIR".to_owned(),
            address,
        }));
    }
    if servers.is_empty() {
        return Err(
            report::Error::new(Code::E0401, format!("find an address of {list}"))
                .means("Nothing was asked.")
                .cure("Name a server as --server HOST:PORT."),
        );
    }
    Ok(servers)
}

/// Where a server's own machine reaches the coordinator that its broker uses.
enum Coordinator {
    /// Its own.
    Own(SocketAddr),
    /// Another server's, `HOST:PORT,...`; a path behind it is the broker's affair.
    Another(String),
}

fn of_folder(folder: &ServerFolder) -> Result<Coordinator, report::Error> {
    let config = config::load(folder).map_err(config_error)?;
    if let Some(coordinator) = &config.coordinator {
        return server::coordinator_address(folder, coordinator).map(Coordinator::Own);
    }
    match config.broker.map(|broker| broker.zookeeper.at) {
        Some(ZookeeperAt::External(servers)) => {
            let servers = servers.split('/').next().unwrap_or_default();
            Ok(Coordinator::Another(servers.to_owned()))
        }
        _ => Err(report::Error::new(
            Code::E0401,
            format!(
                "the server in {} has no coordinator",
                folder.root().display()
            ),
        )
        .means("Nothing was asked.")
        .cure("Name another one: --server HOST:PORT.")),
    }
}

/// The runtime of a command: one thread, which it shares with nobody.
pub(in crate::operator::cli) fn runtime() -> Result<tokio::runtime::Runtime, report::Error> {
    limits::find_threads(THREADS)
        .and_then(|()| {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
        })
        .map_err(|error| {
            report::Error::new(Code::E0111, "start the event loop and its threads")
                .because(error)
                .means("Nothing was done.")
                .cure(LIMIT_CURE)
        })
}

/// What an operator is told when no session could be opened.
pub(in crate::operator::cli) fn explain_connect(error: Error, server: &Server) -> report::Error {
    match error {
        Error::Connect(source) => {
            report::Error::new(Code::E0401, format!("connect to {server}"))
                .because(source)
                .means("Nothing was asked.")
                .cure(format!(
                    "Start the server (chrysalis start {}), or name another one: --server HOST:PORT.",
                    server.dir
                ))
        }
        Error::Closed | Error::Broken(_) | Error::NoSession => report::Error::new(
            Code::E0401,
            format!("{server} opened no session: {error}"),
        )
        .means("Nothing was asked. It has too many connections from here or no quorum, or is no coordinator.")
        .cure("Look at its log, or ask it: echo stat | nc HOST PORT."),
        other => explain(other, server, "open a session"),
    }
}

/// What an operator is told when a request that changes nothing went wrong.
pub(in crate::operator::cli) fn explain_read(
    error: Error,
    server: &Server,
    what: &str,
) -> report::Error {
    match error {
        Error::Late | Error::Closed | Error::Broken(_) => {
            report::Error::new(Code::E0403, format!("{what} on {server}"))
                .because(error)
                .means("Nothing was changed.")
                .cure(format!(
                    "Check whether the server is up (chrysalis status {}), and ask again.",
                    server.dir
                ))
        }
        other => explain(other, server, what),
    }
}

/// What an operator is told when a request went wrong.
pub(in crate::operator::cli) fn explain(
    error: Error,
    server: &Server,
    what: &str,
) -> report::Error {
    match error {
        Error::Refused(refused) => {
            let reason = reason(refused);
            report::Error::new(Code::E0402, format!("{what} on {server}: {reason}"))
                .means("It was not done.")
                .cure(cure(refused.number, &server.options))
        }
        Error::Late | Error::Closed | Error::Broken(_) => {
            report::Error::new(Code::E0403, format!("{what} on {server}"))
                .because(error)
                .means("It is not known whether it was done.")
                .cure(
                    "Check what is there before you try again. \
                     A request longer than jute.maxbuffer (1 MiB unless set) is answered by closing.",
                )
        }
        Error::Connect(_)
        | Error::NoSession
        | Error::Protocol(_)
        | Error::Length(_)
        | Error::Unasked(_) => report::Error::new(Code::E0404, format!("{what} on {server}"))
            .because(error)
            .means("The connection was given up.")
            .cure("Check that this is a coordinator's port."),
    }
}

/// Why a request was refused, by its name and number as well.
pub(super) fn reason(refused: Refused) -> String {
    match error_code::refusal(refused.number) {
        Some(refusal) => format!("{refusal}, {refused}"),
        None => refused.to_string(),
    }
}

/// What helps against a refusal.
pub(super) fn cure(number: i32, options: &str) -> String {
    let cure = match error_code::refusal(number) {
        Some(Refusal::NoNode) => {
            return format!("See what there is: chrysalis zk{options} ls.");
        }
        Some(Refusal::NodeExists) => "Use zk set to change it.",
        Some(Refusal::BadVersion) => {
            "Somebody else changed it: look at it (zk get, zk stat) and decide again."
        }
        Some(Refusal::NotEmpty) => "Use delete --recursive to delete everything below it as well.",
        Some(Refusal::NoChildrenForEphemerals) => "Put it below a znode that stays.",
        Some(Refusal::NoAuth | Refusal::AuthFailed) => {
            "Show who you are: --auth digest:USER:PASSWORD."
        }
        Some(Refusal::BadArguments) => {
            "A path begins with /, ends with a name, and has no control characters; / and /zookeeper cannot be deleted."
        }
        _ => "Look at the server's log.",
    };
    cure.to_owned()
}
