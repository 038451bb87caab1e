//! What one server knows of its ensemble, and what it may be asked to do about it.
//!
//! One model, filled in by the node, completed by the shell with addresses, and shown by `chrysalis cluster status`. Plain
//! data, with units in the names: `--json` prints it as it is, so a field never changes its meaning.

use serde::{Deserialize, Serialize};

/// The ensemble, as one server sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterStatus {
    /// The name of this server's folder.
    pub name: String,
    /// This server's number.
    pub server: u16,
    /// What it is in the ensemble.
    pub standing: Standing,
    /// Who leads, as far as this server knows.
    pub leader: Option<Leader>,
    /// The current term: it grows with each election.
    pub term: u64,
    /// The last entry that is known to be committed.
    pub committed: u64,
    /// The last entry that is applied here.
    pub applied: u64,
    /// How often this server has found another's data, or its own, to differ since it started.
    #[serde(default)]
    pub differing_found: u64,
    /// How many voters more may be lost before nothing is served; `None` where a majority is not there, or not known.
    pub may_be_lost: Option<u64>,
    /// The feature level: what the servers may write into what they share. 0 where there is no ensemble.
    #[serde(default)]
    pub level: u16,
    /// The highest feature level that every member supports.
    #[serde(default)]
    pub level_possible: u16,
    /// All servers that are members or in `cluster.servers`, by their numbers.
    pub servers: Vec<ServerPlace>,
}

/// What a server is in its ensemble.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It has a tree of its own that nobody else has.
    #[default]
    Alone,
    /// It belongs to no ensemble yet.
    Outside,
    /// It leads.
    Leads,
    /// Another server leads.
    Follows,
    /// It is a member, and nobody leads as far as it knows.
    Leaderless,
    /// It was a member, and the others say that it is none any more.
    Removed,
    /// Its ensemble was recovered on another server, and goes on there as another one.
    Replaced,
}

/// Who leads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leader {
    /// Its number.
    pub server: u16,
    /// Where the other servers reach it, `HOST:PORT`, if it is in `cluster.servers`.
    pub address: Option<String>,
    /// For how long this server has known that.
    pub since_s: u64,
}

/// One server of the ensemble, or one that could be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerPlace {
    /// Its number.
    pub server: u16,
    /// Where the other servers reach it, `HOST:PORT`; `None` for one that is not in `cluster.servers`.
    pub address: Option<String>,
    /// What it is.
    pub role: MemberRole,
    /// Whether it stands in `cluster.servers` of this server as an observer; what it is, `role` says.
    #[serde(default)]
    pub listed_observer: bool,
    /// Whether it is this very server.
    pub is_own: bool,
    /// Whether it is connected with this one.
    pub connected: bool,
    /// For how long it has been connected or missing; `None` where it was never seen since this server started.
    pub since_s: Option<u64>,
    /// Entries that it lacks of those that are committed; only the leader knows.
    pub behind: Option<u64>,
    /// Bytes that it has taken of a snapshot that is being sent to it.
    pub snapshot_bytes: Option<u64>,
    /// An operator has invited it, and it is not yet what it is to be.
    pub invited: bool,
    /// An operator wants it out, and it is still a member.
    pub leaves: bool,
    /// Its vote is on its way to another server.
    #[serde(default)]
    pub gives_vote: bool,
    /// Another server's vote is on its way to it.
    #[serde(default)]
    pub takes_vote: bool,
    /// It was a member and has lost its data: it is taken in again by itself.
    pub forgot: bool,
    /// Its data is not that of the others: it serves nobody until it has a snapshot. A server knows it of itself, the leader of
    /// all.
    #[serde(default)]
    pub differs: bool,
    /// Why it was not let in when it came last.
    pub refused: Option<String>,
    /// The highest feature level that it supports, as it said last; `None` where it is no member and is not connected.
    #[serde(default)]
    pub level_supported: Option<u16>,
}

/// What a server is to the ensemble.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberRole {
    /// It votes.
    Voter,
    /// It receives everything, and has no vote yet.
    Learner,
    /// It receives everything, and is to have no vote.
    Observer,
    /// It is no member.
    #[default]
    Outside,
}

impl ClusterStatus {
    /// What is known of one server.
    pub fn server(&self, server: u16) -> Option<&ServerPlace> {
        self.servers.iter().find(|place| place.server == server)
    }

    /// The leader, in words: `server 2 (10.0.0.2:2888)`.
    pub fn leader_named(&self) -> Option<String> {
        let leader = self.leader.as_ref()?;
        Some(named(leader.server, leader.address.as_deref()))
    }

    /// Whether a server may be invited.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub fn may_add(&self, server: u16) -> Result<(), String> {
        self.decides_here()?;
        match self.server(server) {
            Some(place) if place.role == MemberRole::Voter && !place.forgot => {
                Err(format!("server {server} votes already"))
            }
            Some(place) if place.address.is_some() => Ok(()),
            _ => Err(format!(
                "server {server} is not in cluster.servers: add it there on every server, restart one after the other, and \
                 ask again"
            )),
        }
    }

    /// Whether a server may be invited as an observer.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub fn may_observe(&self, server: u16) -> Result<(), String> {
        let is_voter = |it: &ServerPlace| it.role == MemberRole::Voter;
        match self.server(server) {
            Some(place) if is_voter(place) && self.decides_here().is_ok() => Err(format!(
                "server {server} votes: give its vote to another one (chrysalis cluster move-vote {server} ID), or remove it first"
            )),
            Some(place) if place.role == MemberRole::Observer && !place.forgot => {
                self.decides_here()?;
                Err(format!("server {server} is an observer already"))
            }
            _ => self.may_add(server),
        }
    }

    /// Whether a server's vote may go to another one.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub fn may_move_vote(&self, giver: u16, taker: u16) -> Result<(), String> {
        self.decides_here()?;
        let known = |server: u16| {
            let place = self.server(server);
            let place = place.filter(|it| it.role != MemberRole::Outside);
            place.ok_or_else(|| format!("server {server} is no member of the ensemble"))
        };
        let gives = known(giver)?;
        let takes = known(taker).map_err(|why| {
            format!("{why}: take it in first (chrysalis cluster add {taker} --observer)")
        })?;
        // What is wished and has not begun, another wish takes the place of.
        let is_moving = |it: &&ServerPlace| it.takes_vote && it.role == MemberRole::Voter;
        match self.servers.iter().find(is_moving) {
            Some(place) if place.server == taker && gives.gives_vote => return Ok(()),
            Some(place) => {
                return Err(format!(
                    "a vote is on its way to server {}: wait until it is there",
                    place.server
                ));
            }
            None => {}
        }
        if gives.role != MemberRole::Voter {
            return Err(format!("server {giver} has no vote to give"));
        }
        if takes.role == MemberRole::Voter {
            return Err(format!("server {taker} votes already"));
        }
        if !takes.connected {
            return Err(format!(
                "server {taker} is not connected, so it cannot get what it lacks: start it, or see what keeps the two apart"
            ));
        }
        // The taker counts: it is there, and nothing happens before it has everything.
        let left = self.servers.iter();
        let left = left.filter(|it| it.role == MemberRole::Voter && it.server != giver);
        let left: Vec<&ServerPlace> = left.filter(|it| it.server != taker).collect();
        let is_there = |it: &&&ServerPlace| it.is_own || it.connected && !it.forgot;
        let there = 1 + left.iter().filter(is_there).count();
        match there > left.len().div_ceil(2) {
            true => Ok(()),
            false => Err(format!(
                "without server {giver} and with server {taker} too few of the voters are connected to go on: bring them back first"
            )),
        }
    }

    /// Whether a server may be taken out.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub fn may_remove(&self, server: u16) -> Result<(), String> {
        self.decides_here()?;
        match self.server(server) {
            Some(place) if place.is_own && self.standing == Standing::Leads => Err(format!(
                "server {server} leads: hand the lead to another one first (chrysalis cluster transfer ID), and ask that one"
            )),
            Some(place) if place.is_own => Err(format!("server {server} is alone")),
            Some(place) if place.role == MemberRole::Voter && !self.goes_on_without(server) => {
                Err(format!(
                    "without server {server} too few of the others are connected to go on: bring them back, or remove those \
                     that are gone first"
                ))
            }
            Some(place) if place.role != MemberRole::Outside => Ok(()),
            _ => Err(format!("server {server} is no member of the ensemble")),
        }
    }

    /// Whether those that are left have a majority that is connected.
    fn goes_on_without(&self, server: u16) -> bool {
        let left = self.servers.iter();
        let left = left.filter(|it| it.role == MemberRole::Voter && it.server != server);
        let there = left
            .clone()
            .filter(|it| it.is_own || it.connected && !it.forgot);
        there.count() > left.count() / 2
    }

    /// Whether the lead may be handed to a server.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub fn may_transfer(&self, server: u16) -> Result<(), String> {
        self.decides_here()?;
        match self.server(server) {
            Some(place) if place.is_own => Err(format!("server {server} leads already")),
            Some(place) if place.role != MemberRole::Voter || place.forgot => {
                Err(format!("server {server} has no vote, so it cannot lead"))
            }
            Some(place) if !place.connected => Err(format!(
                "server {server} is not connected, so it cannot lead"
            )),
            Some(_) => Ok(()),
            None => Err(format!("server {server} is no member of the ensemble")),
        }
    }

    /// The members that keep the level from being as high as others support, each with the highest that it supports.
    pub fn held_back_by(&self) -> Vec<(u16, u16)> {
        let members = self.servers.iter();
        let members = members.filter(|it| it.role != MemberRole::Outside);
        let supported = members.filter_map(|it| Some((it.server, it.level_supported?)));
        let highest = supported.clone().map(|(_, level)| level).max();
        supported
            .filter(|(_, level)| Some(*level) < highest)
            .collect()
    }

    /// Whether the feature level may be raised.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub fn may_raise(&self) -> Result<(), String> {
        self.decides_here()?;
        if self.level_possible > self.level {
            return Ok(());
        }
        let held: Vec<String> = self
            .held_back_by()
            .iter()
            .map(|(server, level)| format!("server {server}, which supports {level}"))
            .collect();
        Err(match held.is_empty() {
            true => format!(
                "the feature level is {} already, the highest that the servers support",
                self.level
            ),
            false => format!(
                "the feature level stays {}: it is held back by {}. Install the newer release there, or remove it",
                self.level,
                held.join(", and by ")
            ),
        })
    }

    /// Only who leads can change anything.
    fn decides_here(&self) -> Result<(), String> {
        match (self.standing, self.leader_named()) {
            (Standing::Leads | Standing::Alone, _) => Ok(()),
            (Standing::Follows, Some(leader)) => Err(format!(
                "this server follows: run the command where {leader} runs, which leads"
            )),
            _ => Err(
                "no server leads, as far as this one knows: see chrysalis cluster status"
                    .to_owned(),
            ),
        }
    }
}

/// A server, in words.
pub fn named(server: u16, address: Option<&str>) -> String {
    match address {
        Some(address) => format!("server {server} ({address})"),
        None => format!("server {server}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three(standing: Standing) -> ClusterStatus {
        let place = |server: u16| ServerPlace {
            server,
            address: Some(format!("host{server}:2888")),
            role: MemberRole::Voter,
            is_own: server == 1,
            connected: true,
            ..ServerPlace::default()
        };
        let leader = match standing {
            Standing::Leads => 1,
            _ => 2,
        };
        ClusterStatus {
            server: 1,
            standing,
            leader: Some(Leader {
                server: leader,
                address: Some(format!("host{leader}:2888")),
                since_s: 1,
            }),
            servers: (1..=3).map(place).collect(),
            ..ClusterStatus::default()
        }
    }

    #[test]
    fn only_the_leader_decides_and_others_name_it() {
        let status = three(Standing::Follows);
        for refusal in [
            status.may_add(3),
            status.may_remove(3),
            status.may_transfer(3),
        ] {
            let why = refusal.expect_err("it follows");
            assert!(
                why.contains("server 2 (host2:2888) runs, which leads"),
                "{why}"
            );
        }
        assert!(three(Standing::Leaderless).may_remove(2).is_err());
    }

    #[test]
    fn who_votes_cannot_be_added_and_who_is_on_no_list_neither() {
        let mut status = three(Standing::Leads);
        let why = status.may_add(2).expect_err("it votes");
        assert_eq!(why, "server 2 votes already");
        assert!(
            status
                .may_add(4)
                .expect_err("unknown")
                .contains("cluster.servers")
        );
        status.servers[2].role = MemberRole::Outside;
        assert_eq!(status.may_add(3), Ok(()));
    }

    #[test]
    fn a_vote_goes_from_who_has_one_to_a_member_that_has_none() {
        let mut status = three(Standing::Leads);
        let mut fourth = status.servers[2].clone();
        (fourth.server, fourth.role) = (4, MemberRole::Observer);
        status.servers.push(fourth);
        let why = |status: &ClusterStatus, giver, taker| {
            let refused = status.may_move_vote(giver, taker);
            refused.err().unwrap_or_default()
        };
        assert_eq!(why(&status, 3, 4), "");
        assert_eq!(why(&status, 1, 4), "", "also who leads");
        assert_eq!(why(&status, 4, 4), "server 4 has no vote to give");
        assert_eq!(why(&status, 3, 2), "server 2 votes already");
        assert!(why(&status, 9, 4).contains("server 9 is no member"));
        assert!(why(&status, 3, 9).contains("cluster add 9 --observer"));
        status.servers[2].connected = false;
        assert_eq!(why(&status, 3, 4), "", "a dead one gives its vote, too");
        assert_eq!(why(&status, 2, 4), "", "1 and 4 are two of three");
        let mut moving = status.clone();
        (moving.servers[2].gives_vote, moving.servers[3].takes_vote) = (true, true);
        assert_eq!(why(&moving, 2, 4), "", "it has not begun");
        moving.servers[3].role = MemberRole::Voter;
        assert_eq!(why(&moving, 3, 4), "", "it is this very one");
        assert!(why(&moving, 2, 4).contains("on its way to server 4"));
        let mut fifth = status.servers[2].clone();
        fifth.server = 5;
        let mut five = status.clone();
        five.servers.extend([5, 6].map(|server| ServerPlace {
            server,
            ..fifth.clone()
        }));
        // Of 1, 4, 3, 5 and 6 the first two are there.
        assert!(why(&five, 2, 4).contains("too few of the voters"));
        status.servers[3].connected = false;
        assert!(why(&status, 3, 4).contains("not connected"));
        assert!(
            three(Standing::Follows)
                .may_move_vote(3, 4)
                .is_err_and(|why| why.contains("run the command where server 2"))
        );
    }

    #[test]
    fn who_votes_is_made_no_observer_by_an_invitation() {
        let mut status = three(Standing::Leads);
        let why = status.may_observe(2).expect_err("it votes");
        assert!(why.contains("move-vote 2 ID"), "{why}");
        status.servers[1].role = MemberRole::Outside;
        assert_eq!(status.may_observe(2), Ok(()));
        status.servers[1].role = MemberRole::Observer;
        let why = status.may_observe(2).expect_err("it observes");
        assert!(why.contains("already"), "{why}");
        assert_eq!(status.may_add(2), Ok(()), "it may get a vote of its own");
    }

    #[test]
    fn the_level_is_raised_when_every_member_supports_a_higher_one() {
        let mut status = three(Standing::Leads);
        (status.level, status.level_possible) = (1, 1);
        for place in &mut status.servers {
            place.level_supported = Some(1);
        }
        let why = status.may_raise().expect_err("nobody supports more");
        assert!(why.contains("is 1 already"), "{why}");
        status.servers[0].level_supported = Some(2);
        status.servers[1].level_supported = Some(2);
        let why = status.may_raise().expect_err("one does not");
        assert!(
            why.contains("held back by server 3, which supports 1"),
            "{why}"
        );
        status.servers[2].level_supported = Some(2);
        status.level_possible = 2;
        assert_eq!(status.may_raise(), Ok(()));
        status.standing = Standing::Follows;
        assert!(status.may_raise().is_err(), "only who leads decides");
    }

    #[test]
    fn the_leader_stays_until_another_one_leads() {
        let mut status = three(Standing::Leads);
        assert!(
            status
                .may_remove(1)
                .expect_err("it leads")
                .contains("transfer")
        );
        assert_eq!(status.may_remove(2), Ok(()));
        assert_eq!(status.may_transfer(2), Ok(()));
        status.servers[1].connected = false;
        assert!(status.may_transfer(2).is_err(), "nobody would lead");
        assert_eq!(status.may_remove(2), Ok(()), "a dead one can be taken out");
        status.servers[2].role = MemberRole::Learner;
        assert!(status.may_transfer(3).is_err(), "it has no vote");
    }
}
