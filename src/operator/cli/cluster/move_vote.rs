//! `chrysalis cluster move-vote`: another server votes in the place of one that does.

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{LOOK_EVERY, ask, decides};
use crate::appliance::cluster::{ClusterStatus, MemberRole};
use crate::appliance::control::{Request, Response};
use crate::config::ServerFolder;
use crate::operator::cli::place::{self, FolderOption};
use crate::operator::cli::{progress, server, usage};
use crate::operator::cluster;
use crate::report::{Code, Error};
use crate::units::counted;

/// Let a member vote in the place of another one, and wait until it does
///
/// The taker is a member without a vote; it gets one when it has everything. The giver stays a member, as an observer, and may be
/// dead: `cluster remove` takes it out. Both in one step, so the number of votes stays the same, and whatever fails meanwhile,
/// either the former voters decide or the new ones. A giver that leads lets another one lead.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "chrysalis cluster move-vote [OPTIONS] [DIR] <GIVER> <TAKER>",
    after_long_help = "Examples:\n  \
        chrysalis cluster move-vote 3 4 --folder /srv/server1\n  \
        chrysalis cluster move-vote 3 4 --folder /srv/server1 --json | jq .moved"
)]
pub(super) struct MoveVote {
    #[command(flatten)]
    folder: FolderOption,
    /// The numbers of the server that votes and of the one that is to. The folder of the server that leads may stand before them
    #[arg(value_name = "ID", num_args = 2..=3, required = true)]
    words: Vec<String>,
    /// How long to wait until it is done; it goes on afterwards
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    wait: u64,
    /// As JSON: who gave and took, and whether the vote was moved
    #[arg(long)]
    json: bool,
}

/// Whose vote goes to whom.
#[derive(Clone, Copy, Debug)]
struct Move {
    giver: u16,
    taker: u16,
}

impl MoveVote {
    pub(super) fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let two = "it takes the numbers of two servers";
        let (folder, [giver, taker]) = self.folder.and_two(&self.words, two)?;
        let number = |word: &str| {
            let number = word.parse::<u16>();
            number.map_err(|_| usage(format!("{word} is no server's number")))
        };
        let wanted = Move {
            giver: number(giver)?,
            taker: number(taker)?,
        };
        let was_done = wanted.is_done(&ask(&folder)?);
        if !was_done {
            let Move { giver, taker } = wanted;
            match server::ask(&folder, &Request::ClusterMoveVote { giver, taker })? {
                Response::Done { .. } => wanted.wait(&folder, Duration::from_secs(self.wait))?,
                _ => return Err(server::not_an_answer().into()),
            }
        }
        let Move { giver, taker } = wanted;
        if self.json {
            let moved = json!({ "giver": giver, "taker": taker, "moved": !was_done });
            return Ok(writeln!(out, "{moved}")?);
        }
        let already = if was_done { " already" } else { "" };
        Ok(writeln!(
            out,
            "server {taker} votes{already}, and server {giver} is a member without a vote: it observes"
        )?)
    }
}

impl Move {
    fn is_done(self, status: &ClusterStatus) -> bool {
        let gave = status.server(self.giver);
        let took = status.server(self.taker);
        gave.is_some_and(|it| it.role == MemberRole::Observer)
            && took.is_some_and(|it| it.role == MemberRole::Voter && !it.takes_vote)
    }

    /// Whether it goes on whoever leads.
    fn goes_on(self, status: &ClusterStatus) -> bool {
        let took = status.server(self.taker);
        took.is_some_and(|it| it.role == MemberRole::Voter)
    }

    /// What it waits for.
    fn waits_for(self, status: &ClusterStatus) -> String {
        match self.goes_on(status) {
            true => format!(
                "most of the voters have to agree that server {} votes in the place of server {}",
                self.taker, self.giver
            ),
            false => cluster::waits_for(status, self.taker),
        }
    }

    fn wait(self, folder: &ServerFolder, wait: Duration) -> Result<(), Error> {
        let waiting = progress::wheel(format!("waiting for server {}", self.taker));
        let until = Instant::now() + wait;
        loop {
            let status = ask(folder)?;
            if self.is_done(&status) {
                return Ok(());
            }
            let lost = !decides(&status) && !self.goes_on(&status);
            if lost || Instant::now() >= until {
                return Err(self.late(&status, wait, folder));
            }
            waiting.say(self.waits_for(&status));
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// What an operator is told who has waited long enough.
    fn late(self, status: &ClusterStatus, wait: Duration, folder: &ServerFolder) -> Error {
        let see = format!(
            "See how it stands: chrysalis cluster status {}",
            place::flag(folder)
        );
        if !decides(status) && !self.goes_on(status) {
            let leader = status.leader_named();
            let leader = leader.map_or("no server".to_owned(), |leader| leader);
            return Error::new(Code::E0311, format!("{leader} leads now"))
                .means("The vote is where it was, or it moves still; who leads now was not asked for it.")
                .cure(see);
        }
        let seconds = counted(wait.as_secs(), "seconds");
        let what = format!(
            "the vote of server {} is not that of server {} after {seconds}: {}",
            self.giver,
            self.taker,
            self.waits_for(status)
        );
        let means = match self.goes_on(status) {
            true => "It goes on by itself, whoever leads.",
            false => "It moves when that is so, as long as this server leads.",
        };
        Error::new(Code::E0311, what).means(means).cure(see)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::appliance::cluster::{Leader, ServerPlace, Standing};

    fn with(gives: MemberRole, takes: MemberRole, takes_vote: bool) -> ClusterStatus {
        let place = |server, role| ServerPlace {
            server,
            role,
            address: Some(format!("host{server}:2888")),
            ..ServerPlace::default()
        };
        ClusterStatus {
            standing: Standing::Leads,
            servers: vec![
                place(3, gives),
                ServerPlace {
                    takes_vote,
                    ..place(4, takes)
                },
            ],
            ..ClusterStatus::default()
        }
    }

    const MOVE: Move = Move { giver: 3, taker: 4 };

    #[test]
    fn it_is_done_when_one_votes_and_the_other_observes() {
        use MemberRole::{Observer, Outside, Voter};
        assert!(MOVE.is_done(&with(Observer, Voter, false)));
        assert!(!MOVE.is_done(&with(Voter, Voter, true)), "in between");
        assert!(!MOVE.is_done(&with(Observer, Voter, true)));
        assert!(!MOVE.is_done(&with(Voter, Observer, true)));
        assert!(!MOVE.is_done(&with(Outside, Voter, false)));
    }

    #[test]
    fn who_has_waited_for_long_is_told_what_for() {
        use MemberRole::{Observer, Voter};
        let folder = ServerFolder::new("/srv/server1");
        let told = |status: &ClusterStatus| {
            let late = MOVE.late(status, Duration::from_secs(60), &folder);
            late.to_string()
        };
        let missing = told(&with(Voter, Observer, true));
        assert!(
            missing.contains("server 4 (host4:2888) is not connected"),
            "{missing}"
        );
        let between = told(&with(Voter, Voter, true));
        assert!(between.contains("voters have to agree"), "{between}");
        let mut follows = with(Voter, Observer, false);
        (follows.standing, follows.leader) = (
            Standing::Follows,
            Some(Leader {
                server: 2,
                ..Leader::default()
            }),
        );
        assert!(told(&follows).contains("server 2 leads now"));
        // The giver led, and has handed over.
        follows.servers = with(Voter, Voter, true).servers;
        assert!(told(&follows).contains("voters have to agree"));
    }
}
