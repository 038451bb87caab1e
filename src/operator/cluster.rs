//! An ensemble as text: the model is `appliance::cluster`, and `--json` shows it as it is.

use std::fmt::Write as _;
use std::time::Duration;

use super::status::{bytes, duration, table};
use super::text::wrap;
use crate::appliance::cluster::{ClusterStatus, MemberRole, ServerPlace, Standing, named};
use crate::units::counted;

/// The whole picture, for people: what is, then what to do.
pub fn cluster(status: &ClusterStatus, columns: Option<usize>) -> String {
    let columns = columns.unwrap_or(usize::MAX);
    let mut text = String::new();
    let _ = writeln!(text, "{}", wrap(&title(status), columns, 0, 2));
    if status.standing != Standing::Alone || status.servers.len() > 1 {
        let mut rows = vec![["SERVER", "ADDRESS", "ROLE", "STATE"].map(str::to_owned)];
        rows.extend(status.servers.iter().map(|place| row(status, place)));
        text.push_str(&table(&rows));
    }
    for sentence in advice(status) {
        let _ = writeln!(text, "{}", wrap(&sentence, columns, 0, 2));
    }
    text
}

fn title(status: &ClusterStatus) -> String {
    let who = match status.name.is_empty() {
        true => format!("server {}", status.server),
        false => format!("server {} ({})", status.server, status.name),
    };
    let (leader, since) = match &status.leader {
        Some(leader) => (
            named(leader.server, leader.address.as_deref()),
            duration(Duration::from_secs(leader.since_s)),
        ),
        None => Default::default(),
    };
    let term = status.term;
    match status.standing {
        Standing::Alone => format!("{who} is alone: no other server has its znodes"),
        Standing::Outside => format!("{who} belongs to no ensemble yet"),
        Standing::Leads => format!("{who} leads the ensemble, for {since} (term {term})"),
        Standing::Follows => {
            format!("{who} follows {leader}, which has led for {since} (term {term})")
        }
        Standing::Leaderless => {
            format!("{who} is a member, and no server leads as far as it knows (term {term})")
        }
        Standing::Removed => format!("{who} was taken out of the ensemble"),
        Standing::Replaced => format!("{who} has an ensemble that was recovered on another server"),
    }
}

fn row(status: &ClusterStatus, place: &ServerPlace) -> [String; 4] {
    let role = match place.role {
        MemberRole::Voter => "voter",
        MemberRole::Learner => "learner",
        MemberRole::Observer => "observer",
        MemberRole::Outside => "outside",
    };
    let address = place.address.as_deref().unwrap_or("not in cluster.servers");
    [
        place.server.to_string(),
        // An address begins with a digit and is no number.
        format!("{address} ").trim_end().to_owned(),
        role.to_owned(),
        state(status, place),
    ]
}

fn state(status: &ClusterStatus, place: &ServerPlace) -> String {
    let mut parts = Vec::new();
    let since = place
        .since_s
        .map(|since| duration(Duration::from_secs(since)));
    if place.is_own {
        parts.push("this server".to_owned());
    } else {
        parts.push(match (place.connected, since) {
            (true, Some(since)) => format!("connected for {since}"),
            (true, None) => "connected".to_owned(),
            (false, Some(since)) => format!("missing for {since}"),
            (false, None) => "not seen since this server started".to_owned(),
        });
    }
    if status
        .leader
        .as_ref()
        .is_some_and(|leader| leader.server == place.server)
        && status.standing != Standing::Alone
    {
        parts.push("leads".to_owned());
    }
    match (&place.refused, place.connected) {
        (Some(why), true) => parts.push(why.clone()),
        (Some(why), false) => parts.push(format!("not let in: {why}")),
        (None, _) => {}
    }
    if place.forgot {
        parts.push("comes back without its data".to_owned());
    }
    if place.differs {
        parts.push("its data differs, so it serves nobody".to_owned());
    }
    if let Some(taken) = place.snapshot_bytes {
        parts.push(format!("is sent a snapshot, {} so far", bytes(taken)));
    }
    match place.behind {
        Some(0) => parts.push("has everything".to_owned()),
        Some(behind) => parts.push(format!("lacks {}", counted(behind, "entries"))),
        None => {}
    }
    if place.invited {
        parts.push("invited".to_owned());
    }
    if place.leaves {
        parts.push("is to leave".to_owned());
    }
    if place.gives_vote {
        parts.push("gives its vote away".to_owned());
    }
    if place.takes_vote {
        parts.push("takes a vote".to_owned());
    }
    parts.join(", ")
}

/// What an operator should do, a sentence each.
fn advice(status: &ClusterStatus) -> Vec<String> {
    let mut advice = Vec::new();
    match status.standing {
        Standing::Alone if status.servers.len() == 1 => advice.push(
            "If it is lost, so are its znodes. For an ensemble, list three servers in cluster.servers: docs/operating.md, \
             \"An ensemble\"."
                .to_owned(),
        ),
        Standing::Alone => advice.push("If it is lost, so are its znodes.".to_owned()),
        Standing::Outside => advice.extend(outside(status)),
        Standing::Replaced => advice.push(format!(
            "It serves nobody. Restart it with --accept-loss, which throws its znodes away and keeps its messages; then, where the \
             leader runs: chrysalis cluster add {}",
            status.server
        )),
        Standing::Removed => advice.push(
            format!(
            "It serves nobody. Stop it, or take it in again where the leader runs: chrysalis cluster add {}",
            status.server
        )
        ),
        Standing::Leads | Standing::Follows | Standing::Leaderless => {
            advice.extend(may_be_lost(status));
        }
    }
    if status.standing == Standing::Follows
        && let Some(leader) = status.leader_named()
    {
        advice.push(format!(
            "How far each server is, the leader knows: ask where {leader} runs."
        ));
    }
    if matches!(status.standing, Standing::Leads | Standing::Alone) {
        advice.extend(uninvited(status));
        advice.extend(listed_otherwise(status));
    }
    let differing = of(status, |it| it.differs);
    if !differing.is_empty() {
        advice.push(format!(
            "The data of {} is not what its entries make of it: bad memory, or a mistake in this program. It gets a snapshot by \
             itself. Keep the logs, and report it.",
            list(&differing)
        ));
    }
    if !matches!(
        status.standing,
        Standing::Outside | Standing::Removed | Standing::Replaced
    ) {
        advice.push(level(status));
    }
    advice
}

/// The feature level, what is possible, and who holds it back.
fn level(status: &ClusterStatus) -> String {
    let (now, possible) = (status.level, status.level_possible);
    let held = status.held_back_by();
    let mut text = match (possible > now, held.is_empty()) {
        (true, _) => format!(
            "Feature level {now}. Level {possible} is possible: chrysalis cluster raise-level"
        ),
        (false, true) => format!("Feature level {now}, the highest that the servers support."),
        (false, false) => format!("Feature level {now}."),
    };
    if !held.is_empty() {
        let each = held
            .iter()
            .map(|(server, level)| format!("server {server}, which supports {level}"));
        let each: Vec<String> = each.collect();
        let dot = if text.ends_with('.') { "" } else { "." };
        text = format!(
            "{text}{dot} A higher one is held back by {}.",
            each.join(", and by ")
        );
    }
    text
}

/// What a server that belongs to nothing waits for.
fn outside(status: &ClusterStatus) -> Option<String> {
    let has_members = status
        .servers
        .iter()
        .any(|it| it.role != MemberRole::Outside);
    if has_members {
        let own = status.servers.iter().find(|it| it.is_own);
        if own.is_some_and(|own| own.role != MemberRole::Outside) {
            return Some(match status.leader {
                Some(_) => "It is being taken in again by the leader.".to_owned(),
                None => "It is taken in again when the others have a leader.".to_owned(),
            });
        }
        if own.is_some_and(|own| own.listed_observer) {
            return Some(
                "There is an ensemble. It is taken in as an observer by itself, if the leader lists it so.".to_owned(),
            );
        }
        return Some(format!(
            "There is an ensemble. To take this server in, ask where its leader runs: chrysalis cluster add {}",
            status.server
        ));
    }
    let forgot = of(status, |it| it.forgot);
    if !forgot.is_empty() {
        return Some(format!(
            "Nothing is founded: {} had a tree and lost it, and nobody else here knows of it. Start a server that still has it; or, \
             if it is to be lost, restart {} with --accept-loss.",
            list(&forgot),
            list(&forgot)
        ));
    }
    let missing = of(status, |it| !it.connected);
    match missing.is_empty() {
        true => Some("All servers are there: the ensemble is being founded.".to_owned()),
        false => Some(format!(
            "It is founded when all servers of cluster.servers are there. Start {}.",
            list(&missing)
        )),
    }
}

/// How many servers may fail, and what to do where none may.
fn may_be_lost(status: &ClusterStatus) -> Option<String> {
    let voters = of(status, |it| it.role == MemberRole::Voter);
    let missing = of(status, |it| {
        it.role == MemberRole::Voter && (!it.connected || it.forgot)
    });
    let majority = voters.len() / 2 + 1;
    Some(match status.may_be_lost {
        None => format!(
            "Nothing is served until {majority} of {} voters are there. Start {}.",
            voters.len(),
            list(&missing)
        ),
        Some(0) if missing.is_empty() => {
            "No voter may be lost: all are needed. Add a server for more: chrysalis cluster add ID"
                .to_owned()
        }
        Some(0) => format!(
            "No more voter may be lost. Bring back {}; if its data is gone, it is taken in again with an empty data folder.{}",
            list(&missing),
            stand_in(status, &missing).unwrap_or_default()
        ),
        Some(1) => "One voter may be lost, and the others serve on.".to_owned(),
        Some(count) => format!(
            "{} may be lost, and the others serve on.",
            counted(count, "voters")
        ),
    })
}

/// Who could vote in the place of a voter that is missing.
fn stand_in(status: &ClusterStatus, missing: &[u16]) -> Option<String> {
    let observers = of(status, |it| {
        it.role == MemberRole::Observer && it.connected && !it.takes_vote
    });
    let (giver, taker) = (missing.first()?, observers.first()?);
    Some(format!(
        " If it is gone for good, server {taker} can vote in its place: chrysalis cluster move-vote {giver} {taker}"
    ))
}

/// Servers that could be members.
fn uninvited(status: &ClusterStatus) -> Vec<String> {
    let outside = |it: &ServerPlace| it.role == MemberRole::Outside && !it.invited;
    let servers = status.servers.iter().filter(|it| outside(it));
    servers
        .map(|it| match it.refused {
            Some(_) => format!(
                "Server {} can be taken in with an empty data folder.",
                it.server
            ),
            None if it.listed_observer => format!(
                "Server {} is to be an observer: start it with an empty data folder, and it is taken in by itself.",
                it.server
            ),
            None => format!(
                "Server {0} is in cluster.servers and no member: chrysalis cluster add {0}",
                it.server
            ),
        })
        .collect()
}

/// Servers whose part is not what the list says.
fn listed_otherwise(status: &ClusterStatus) -> Option<String> {
    let otherwise = of(status, |it| {
        let listed = it.address.is_some() && it.role != MemberRole::Outside;
        listed && it.listed_observer != (it.role == MemberRole::Observer)
    });
    let whose = list(&otherwise);
    (!otherwise.is_empty()).then(|| {
        format!(
            "Who votes, the members have agreed on, and cluster.servers says something else of {whose}. Correct :observer there on \
             every server before one starts with an empty data folder: an ensemble is founded by the list alone."
        )
    })
}

fn of(status: &ClusterStatus, is_meant: impl Fn(&ServerPlace) -> bool) -> Vec<u16> {
    let servers = status.servers.iter().filter(|it| is_meant(it));
    servers.map(|it| it.server).collect()
}

/// `server 2`, or `server 2 or 3`.
fn list(servers: &[u16]) -> String {
    let names: Vec<String> = servers.iter().map(ToString::to_string).collect();
    format!("server {}", names.join(" and "))
}

/// What keeps a server from voting, for who waits for that.
pub fn waits_for(status: &ClusterStatus, server: u16) -> String {
    let Some(place) = status.server(server) else {
        return format!("server {server} is not in cluster.servers");
    };
    let who = named(server, place.address.as_deref());
    if let (Some(why), false) = (&place.refused, place.connected) {
        return format!(
            "{who} is not let in: {why}. Only a server with an empty data folder can be taken in"
        );
    }
    if !place.connected {
        return format!(
            "{who} is not connected: start it with the same cluster.servers, and see that nothing keeps the two apart"
        );
    }
    if place.snapshot_bytes.is_some() || place.behind.is_some_and(|behind| behind > 0) {
        return format!("server {server}: {}", state(status, place));
    }
    "most of the voters have to agree: see chrysalis cluster status".to_owned()
}

#[cfg(test)]
mod tests;
