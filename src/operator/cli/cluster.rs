//! `chrysalis cluster`: the servers that are one coordinator, and who of them leads.

use std::io::Write;
use std::time::{Duration, Instant};

use super::place::{self, FolderArgument, FolderOption};
use super::{progress, server, usage};
use crate::appliance::cluster::{ClusterStatus, MemberRole, Standing};
use crate::appliance::control::{Request, Response};
use crate::config::ServerFolder;
use crate::operator::{cluster, text};
use crate::report::{Code, Error};
use crate::units::counted;

// What servers show each other.
mod certificates;
// A vote goes from one server to another.
mod move_vote;
// One server that is left goes on.
mod recover;

/// How often it is looked whether the ensemble has changed.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Look at an ensemble, and change who belongs to it or leads it
///
/// The servers of `cluster.servers` are one coordinator together. Only the leader can change who belongs to it; any other
/// server names it.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    chrysalis cluster status --folder /srv/server1\n  \
    chrysalis cluster add 2 --folder /srv/server1\n  \
    chrysalis cluster transfer 2 --folder /srv/server1\n  \
    chrysalis cluster move-vote 3 4 --folder /srv/server1\n  \
    chrysalis cluster remove 3 --folder /srv/server1\n  \
    chrysalis cluster recover --folder /srv/server1\n  \
    chrysalis cluster rotate-certificates --folder /srv/server1")]
pub(super) struct Cluster {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show who belongs to the ensemble, who leads, and what is missing
    ///
    /// The server in the folder is asked, and answers what it knows. How far behind the others are, the leader knows.
    #[command(after_long_help = "Examples:\n  \
        chrysalis cluster status --folder /srv/server1\n  \
        chrysalis cluster status --folder /srv/server1 --json | jq .may_be_lost")]
    Status {
        #[command(flatten)]
        folder: FolderArgument,
        /// As JSON, with units in the names
        #[arg(long)]
        json: bool,
    },
    /// Take a server into the ensemble, and wait until it votes
    ///
    /// It must be in `cluster.servers` of every server, and its data folder must be empty. It is sent all znodes first. One
    /// that was a member and comes back with an empty data folder needs no command, nor does one that is listed as an observer.
    /// With --observer it gets everything and serves clients, and has no vote. An observer that is added without that votes.
    #[command(
        override_usage = "chrysalis cluster add [OPTIONS] [DIR] <ID>",
        after_long_help = "Examples:\n  \
            chrysalis cluster add 2 --folder /srv/server1\n  \
            chrysalis cluster add 4 --observer --folder /srv/server1"
    )]
    Add {
        #[command(flatten)]
        change: Change,
        /// It is to have no vote
        #[arg(long)]
        observer: bool,
    },
    /// Take a server out of the ensemble, and wait until it is out
    ///
    /// It may be dead. The leader cannot take out itself: `cluster transfer` first.
    #[command(
        override_usage = "chrysalis cluster remove [OPTIONS] [DIR] <ID>",
        after_long_help = "Example:\n  chrysalis cluster remove 3 --folder /srv/server1"
    )]
    Remove(Change),
    /// Let another voter lead, and wait until it does
    ///
    /// Clients stay connected; their writes wait for a moment. A leader that is stopped does this by itself.
    #[command(
        override_usage = "chrysalis cluster transfer [OPTIONS] [DIR] <ID>",
        after_long_help = "Example:\n  chrysalis cluster transfer 2 --folder /srv/server1"
    )]
    Transfer(Change),
    MoveVote(move_vote::MoveVote),
    /// Raise the feature level as high as every member supports, and wait until it is
    ///
    /// For when all servers have a newer release and work well: only then it writes what older releases cannot read. There is
    /// no way back, and no older release can be started again. `cluster status` says whether it is possible, and who holds it
    /// back. Only the leader can do it.
    #[command(after_long_help = "Examples:\n  \
        chrysalis cluster raise-level --folder /srv/server1\n  \
        chrysalis cluster raise-level --folder /srv/server1 --json | jq .level")]
    RaiseLevel {
        #[command(flatten)]
        folder: FolderArgument,
        /// How long to wait until it is done; it goes on afterwards
        #[arg(long, value_name = "SECONDS", default_value_t = 60)]
        wait: u64,
        /// As JSON: the level, and whether it was raised
        #[arg(long)]
        json: bool,
    },
    Recover(recover::Recover),
    Certificates(certificates::Certificates),
    RotateCertificates(certificates::RotateCertificates),
}

#[derive(Debug, clap::Args)]
struct Change {
    #[command(flatten)]
    folder: FolderOption,
    /// The number of the server, as in `cluster.servers`. The folder of the server that leads may stand before it
    #[arg(value_name = "ID", num_args = 1..=2, required = true)]
    words: Vec<String>,
    /// How long to wait until it is done; it goes on afterwards
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    wait: u64,
}

impl Cluster {
    pub(super) fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        match self.command {
            Command::Status { folder, json } => status(&folder.server_folder()?, json, out),
            Command::Add {
                change,
                observer: false,
            } => change.run(Kind::Add, out),
            Command::Add {
                change,
                observer: true,
            } => change.run(Kind::Observe, out),
            Command::Remove(change) => change.run(Kind::Remove, out),
            Command::Transfer(change) => change.run(Kind::Transfer, out),
            Command::MoveVote(move_vote) => move_vote.run(out),
            Command::Recover(recover) => recover.run(out),
            Command::Certificates(certificates) => certificates.run(out),
            Command::RotateCertificates(rotate) => rotate.run(out),
            Command::RaiseLevel { folder, wait, json } => {
                let wait = Duration::from_secs(wait);
                raise_level(&folder.server_folder()?, wait, json, out)
            }
        }
    }
}

fn status(folder: &ServerFolder, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let status = ask(folder)?;
    match json {
        true => writeln!(out, "{}", serde_json::to_string_pretty(&status)?)?,
        false => write!(out, "{}", cluster::cluster(&status, text::columns()))?,
    }
    Ok(())
}

fn raise_level(
    folder: &ServerFolder,
    wait: Duration,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let status = ask(folder)?;
    let (before, wanted) = (status.level, status.level_possible);
    // That there is nothing to raise is no failure, unless a server holds it back.
    let is_done = decides(&status) && wanted <= before && status.held_back_by().is_empty();
    if !is_done {
        match server::ask(folder, &Request::ClusterRaiseLevel)? {
            Response::Done { .. } => wait_for_level(folder, wanted, wait)?,
            _ => return Err(server::not_an_answer().into()),
        }
    }
    let level = wanted.max(before);
    if json {
        let raised = serde_json::json!({ "level": level, "raised": !is_done });
        return Ok(writeln!(out, "{raised}")?);
    }
    let text = match is_done {
        true => format!("is {level} already, the highest that the servers support"),
        false => format!("is {level} now"),
    };
    Ok(writeln!(out, "the feature level {text}")?)
}

fn wait_for_level(folder: &ServerFolder, level: u16, wait: Duration) -> Result<(), Error> {
    let _waiting = progress::wheel("waiting for the members to agree".to_owned());
    let until = Instant::now() + wait;
    loop {
        let status = ask(folder)?;
        if status.level >= level {
            return Ok(());
        }
        if !decides(&status) || Instant::now() >= until {
            let now = status.level;
            return Err(
                Error::new(Code::E0311, format!("the feature level is still {now}"))
                    .means(
                        "It is raised when most of the voters agree, as long as this server leads.",
                    )
                    .cure(format!(
                        "See how it stands: chrysalis cluster status {}",
                        place::flag(folder)
                    )),
            );
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn ask(folder: &ServerFolder) -> Result<ClusterStatus, Error> {
    match server::ask(folder, &Request::ClusterStatus)? {
        Response::Cluster(status) => Ok(*status),
        _ => Err(server::not_an_answer()),
    }
}

/// What is to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Add,
    Observe,
    Remove,
    Transfer,
}

impl Change {
    fn run(self, kind: Kind, out: &mut dyn Write) -> anyhow::Result<()> {
        let one = "it takes the number of one server";
        let (folder, word) = self.folder.and_one(&self.words, one)?;
        let server: u16 = word
            .parse()
            .map_err(|_| usage(format!("{word} is no server's number")))?;
        let request = match kind {
            Kind::Add | Kind::Observe => Request::ClusterAdd {
                server,
                observer: kind == Kind::Observe,
            },
            Kind::Remove => Request::ClusterRemove { server },
            Kind::Transfer => Request::ClusterTransfer { server },
        };
        match server::ask(&folder, &request)? {
            Response::Done { .. } => {}
            _ => return Err(server::not_an_answer().into()),
        }
        let done = wait(&folder, kind, server, Duration::from_secs(self.wait))?;
        Ok(writeln!(out, "{done}")?)
    }
}

/// Waits until it is done, and says so.
fn wait(folder: &ServerFolder, kind: Kind, server: u16, wait: Duration) -> Result<String, Error> {
    let _waiting = progress::wheel(format!("waiting for server {server}"));
    let until = Instant::now() + wait;
    loop {
        let status = ask(folder)?;
        if let Some(done) = done(&status, kind, server) {
            return Ok(done);
        }
        let lost = kind != Kind::Transfer && !decides(&status);
        if lost || Instant::now() >= until {
            return Err(late(&status, kind, server, wait, folder));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn decides(status: &ClusterStatus) -> bool {
    matches!(status.standing, Standing::Leads | Standing::Alone)
}

fn done(status: &ClusterStatus, kind: Kind, server: u16) -> Option<String> {
    let place = status.server(server);
    let role = place.map_or(MemberRole::Outside, |place| place.role);
    let forgot = place.is_some_and(|place| place.forgot);
    match kind {
        Kind::Add if role == MemberRole::Voter && !forgot => {
            Some(format!("server {server} is a member and votes"))
        }
        Kind::Observe if role == MemberRole::Observer && !forgot => {
            Some(format!("server {server} is a member and observes"))
        }
        Kind::Remove if role == MemberRole::Outside => {
            Some(format!("server {server} is no member any more"))
        }
        Kind::Transfer if status.leader.as_ref()?.server == server => {
            Some(format!("server {server} leads"))
        }
        _ => None,
    }
}

/// What an operator is told who has waited long enough.
fn late(
    status: &ClusterStatus,
    kind: Kind,
    server: u16,
    wait: Duration,
    folder: &ServerFolder,
) -> Error {
    let see = format!(
        "See how it stands: chrysalis cluster status {}",
        place::flag(folder)
    );
    if kind != Kind::Transfer && !decides(status) {
        let leader = status.leader_named();
        let leader = leader.map_or("no server".to_owned(), |leader| leader);
        return Error::new(Code::E0311, format!("{leader} leads now"))
            .means(
                "What was under way may still be done; an invitation is forgotten with the lead.",
            )
            .cure(see);
    }
    let seconds = counted(wait.as_secs(), "seconds");
    let (what, means) = match kind {
        Kind::Add => (
            format!(
                "server {server} does not vote after {seconds}: {}",
                cluster::waits_for(status, server)
            ),
            "It stays invited as long as this server leads.",
        ),
        Kind::Observe => (
            format!(
                "server {server} is no observer after {seconds}: {}",
                cluster::waits_for(status, server)
            ),
            "It stays invited as long as this server leads.",
        ),
        Kind::Remove => (
            format!(
                "server {server} is still a member after {seconds}: most of the voters have to agree"
            ),
            "It is taken out when they do, as long as this server leads.",
        ),
        Kind::Transfer => (
            format!("server {server} does not lead after {seconds}"),
            "The lead may be elsewhere, or where it was.",
        ),
    };
    Error::new(Code::E0311, what).means(means).cure(see)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::appliance::cluster::{Leader, ServerPlace};

    fn with(role: MemberRole, leader: u16) -> ClusterStatus {
        ClusterStatus {
            server: 1,
            standing: Standing::Leads,
            leader: Some(Leader {
                server: leader,
                ..Leader::default()
            }),
            servers: vec![ServerPlace {
                server: 2,
                role,
                ..ServerPlace::default()
            }],
            ..ClusterStatus::default()
        }
    }

    #[test]
    fn each_change_has_its_end() {
        let ends = |kind, role, leader| done(&with(role, leader), kind, 2).is_some();
        assert!(ends(Kind::Add, MemberRole::Voter, 1));
        assert!(!ends(Kind::Add, MemberRole::Learner, 1));
        assert!(ends(Kind::Observe, MemberRole::Observer, 1));
        assert!(!ends(Kind::Observe, MemberRole::Learner, 1));
        assert!(!ends(Kind::Add, MemberRole::Observer, 1));
        assert!(ends(Kind::Remove, MemberRole::Outside, 1));
        assert!(!ends(Kind::Remove, MemberRole::Learner, 1));
        assert!(ends(Kind::Transfer, MemberRole::Voter, 2));
        assert!(!ends(Kind::Transfer, MemberRole::Voter, 1));
    }

    #[test]
    fn who_has_waited_for_long_is_told_what_for() {
        let folder = ServerFolder::new("/srv/server1");
        let seconds = Duration::from_secs(60);
        let told =
            |status: &ClusterStatus| late(status, Kind::Add, 2, seconds, &folder).to_string();
        let missing = told(&with(MemberRole::Outside, 1));
        assert!(missing.contains("server 2 is not connected"), "{missing}");
        let mut follows = with(MemberRole::Learner, 2);
        follows.standing = Standing::Follows;
        let deposed = told(&follows);
        assert!(deposed.contains("server 2 leads now"), "{deposed}");
    }
}
