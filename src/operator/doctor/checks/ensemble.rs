//! The other servers: whether there are enough of them, whether this one is one of them, and where they are.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::appliance::cluster::{ClusterStatus, MemberRole, ServerPlace, Standing, named};
use crate::config::ClusterServer;
use crate::operator::doctor::check::{Check, Looked, Severity};
use crate::operator::doctor::facts::{Facts, Unknown};
use crate::operator::doctor::finding::Finding;
use crate::operator::status::{bytes, duration};
use crate::units::counted;

/// A member that lacks more entries than this is told of: fewer are on their way at any time.
const BEHIND_ENTRIES: u64 = 10_000;

/// What a server without a leader cannot do.
const WITHOUT_A_LEADER: &[&str] = &[
    "voter-missing",
    "not-registered",
    "owners-unseen",
    "ensemble-waits",
    "clocks-apart",
    "server-says",
];

pub(super) static CHECKS: [Check; 11] = [
    Check {
        name: "no-quorum",
        severity: Severity::Broken,
        means: "Most of the voters are not there, so nothing is served. It names who is missing, and since when.",
        cure: "Start them. For good: `chrysalis cluster recover`.",
        explains: WITHOUT_A_LEADER,
        look: no_quorum,
    },
    Check {
        name: "ensemble-not-founded",
        severity: Severity::Broken,
        means: "The ensemble is founded when all servers of cluster.servers have been there once.",
        cure: "Start those that are missing.",
        explains: WITHOUT_A_LEADER,
        look: not_founded,
    },
    Check {
        name: "taken-out",
        severity: Severity::Broken,
        means: "This server was taken out of the ensemble, or the ensemble goes on elsewhere without it.",
        cure: "Stop it, or take it in again where the leader runs.",
        explains: WITHOUT_A_LEADER,
        look: taken_out,
    },
    Check {
        name: "not-a-member",
        severity: Severity::Broken,
        means: "There is an ensemble, and this server is not in it.",
        cure: "`chrysalis cluster add ID`, where the leader runs.",
        explains: WITHOUT_A_LEADER,
        look: not_a_member,
    },
    Check {
        name: "data-differs",
        severity: Severity::Broken,
        means: "The data of a server is not what the same entries make of it elsewhere: bad memory, or a bug.",
        cure: "It gets a snapshot by itself. Test the memory, keep the logs, report it.",
        explains: &["ensemble-waits"],
        look: data_differs,
    },
    Check {
        name: "server-refused",
        severity: Severity::AtRisk,
        means: "Another server comes and is not let in: its data, its number or its version do not fit.",
        cure: "Its reason says which; often an empty `data/` helps.",
        explains: &["voter-missing"],
        look: server_refused,
    },
    Check {
        name: "voter-missing",
        severity: Severity::AtRisk,
        means: "A voter is away. The others serve on, and fewer of them may be lost.",
        cure: "Start it; on its host, `chrysalis doctor` says what keeps it.",
        explains: &[],
        look: voter_missing,
    },
    Check {
        name: "member-behind",
        severity: Severity::AtRisk,
        means: "A member is connected and lacks much: until it has it, it counts for little when another one is lost. The leader knows.",
        cure: "Wait. If it stays, look at its disk and network.",
        explains: &[],
        look: member_behind,
    },
    Check {
        name: "voters-on-one-host",
        severity: Severity::AtRisk,
        means: "So many voters are on one host that the others are no majority: that host takes the ensemble with it.",
        cure: "Put each voter on a host of its own.",
        explains: &[],
        look: voters_on_one_host,
    },
    Check {
        name: "listed-otherwise",
        severity: Severity::AtRisk,
        means: "cluster.servers says something else of who votes than the members have agreed on.",
        cure: "Correct the lists before a server starts with an empty `data/`.",
        explains: &[],
        look: listed_otherwise,
    },
    Check {
        name: "level-can-rise",
        severity: Severity::Hint,
        means: "All members support a higher feature level: an upgrade is not ended.",
        cure: "`chrysalis cluster raise-level`, when all work well.",
        explains: &[],
        look: level_can_rise,
    },
];

fn one_if(finding: Option<Finding>) -> Looked {
    Ok(finding.into_iter().collect())
}

fn is_voter(place: &&ServerPlace) -> bool {
    place.role == MemberRole::Voter
}

fn is_there(place: &ServerPlace) -> bool {
    place.is_own || place.connected && !place.forgot
}

/// `server 2 (host2:2888) has been missing for 12 s`.
fn missing_since(place: &ServerPlace) -> String {
    let who = named(place.server, place.address.as_deref());
    match place.since_s {
        _ if place.connected && place.forgot => format!("{who} is there without its data"),
        Some(since) => format!(
            "{who} has been missing for {}",
            duration(Duration::from_secs(since))
        ),
        None => format!("{who} was not seen since this server started"),
    }
}

fn missing(status: &ClusterStatus) -> Vec<&ServerPlace> {
    let voters = status.servers.iter().filter(is_voter);
    voters.filter(|place| !is_there(place)).collect()
}

/// `servers 2 and 3`, and whether that is one alone.
fn listed(places: &[&ServerPlace]) -> (String, bool) {
    let numbers: Vec<String> = places
        .iter()
        .map(|place| place.server.to_string())
        .collect();
    let is_one = numbers.len() == 1;
    let what = if is_one { "server" } else { "servers" };
    (format!("{what} {}", numbers.join(" and ")), is_one)
}

/// Whether it belongs to an ensemble and hears of no leader.
fn is_leaderless(status: &ClusterStatus) -> bool {
    status.standing == Standing::Leaderless
}

fn no_quorum(facts: &Facts) -> Looked {
    let status = facts.cluster()?;
    if !is_leaderless(status) {
        return Ok(Vec::new());
    }
    let voters = status.servers.iter().filter(is_voter).count();
    let missing = missing(status);
    let needed = voters / 2 + 1;
    if voters - missing.len() >= needed {
        // They elect one; if they cannot, the server says what keeps them.
        return Ok(Vec::new());
    }
    let (servers, is_one) = listed(&missing);
    let are = if is_one { "is" } else { "are" };
    let what = format!(
        "nothing is served, because {servers} {are} missing: {needed} of {} are needed",
        counted(voters, "voters")
    );
    let evidence = missing.iter().map(|place| missing_since(place));
    one_if(Some(
        Finding::new(what)
            .shown_by(evidence)
            .command(
                "Start them; on their hosts, this says what keeps them",
                "chrysalis doctor",
            )
            .command(
                "If they are gone for good",
                format!("chrysalis cluster recover{}", facts.flag()),
            ),
    ))
}

fn has_members(status: &ClusterStatus) -> bool {
    let mut servers = status.servers.iter();
    servers.any(|place| place.role != MemberRole::Outside)
}

fn not_founded(facts: &Facts) -> Looked {
    let status = facts.cluster()?;
    if status.standing != Standing::Outside || has_members(status) {
        return Ok(Vec::new());
    }
    let away: Vec<&ServerPlace> = status
        .servers
        .iter()
        .filter(|place| !is_there(place))
        .collect();
    if away.is_empty() {
        return Ok(Vec::new());
    }
    let (servers, is_one) = listed(&away);
    let has = if is_one { "has" } else { "have" };
    let what = format!(
        "nothing is served, because the ensemble is not founded yet: {servers} {has} to be there once"
    );
    let evidence = away.iter().map(|place| missing_since(place));
    one_if(Some(Finding::new(what).shown_by(evidence).command(
        "Start them; on their hosts, this says what keeps them",
        "chrysalis doctor",
    )))
}

fn taken_out(facts: &Facts) -> Looked {
    let status = facts.cluster()?;
    let add = format!("chrysalis cluster add {}", status.server);
    one_if(match status.standing {
        Standing::Removed => Some(
            Finding::new("nothing is served here, because this server was taken out of the ensemble")
                .command("Take it in again, where the leader runs", add)
                .command("Or stop it", facts.command("stop")),
        ),
        Standing::Replaced => Some(
            Finding::new("nothing is served here, because the ensemble was recovered on another server and goes on there")
                .command(
                    "Throw its znodes away, and keep its messages",
                    format!("chrysalis restart --accept-loss{}", facts.flag()),
                )
                .command("Then take it in again, where the leader runs", add),
        ),
        _ => None,
    })
}

fn not_a_member(facts: &Facts) -> Looked {
    let status = facts.cluster()?;
    let own = status.servers.iter().find(|place| place.is_own);
    let is_outside = own.is_none_or(|own| own.role == MemberRole::Outside && !own.invited);
    if status.standing != Standing::Outside || !has_members(status) || !is_outside {
        return Ok(Vec::new());
    }
    one_if(Some(
        Finding::new(
            "nothing is served here, because there is an ensemble and this server is not in it",
        )
        .command(
            "Take it in, where the leader runs",
            format!("chrysalis cluster add {}", status.server),
        ),
    ))
}

fn data_differs(facts: &Facts) -> Looked {
    let status = facts.cluster()?;
    let differing = status.servers.iter().filter(|place| place.differs);
    let found = differing.map(|place| {
        Finding::new(format!(
            "{} serves nobody, because its data is not that of the others",
            named(place.server, place.address.as_deref())
        ))
        .cure("It gets a snapshot by itself. Test the memory of its host, keep the logs of all servers, and report it.")
    });
    Ok(found.collect())
}

fn server_refused(facts: &Facts) -> Looked {
    let status = facts.cluster()?;
    let refused = status.servers.iter().filter(|place| !place.connected);
    let found = refused.filter_map(|place| {
        let why = place.refused.as_ref()?;
        let who = named(place.server, place.address.as_deref());
        Some(
            Finding::new(format!("{who} comes and is not let in: {why}"))
                .shown(missing_since(place))
                .command(
                    "See all of them",
                    format!("chrysalis cluster status{}", facts.flag()),
                ),
        )
    });
    Ok(found.collect())
}

fn voter_missing(facts: &Facts) -> Looked {
    let status = facts.cluster()?;
    let Some(may_be_lost) = status.may_be_lost else {
        return Ok(Vec::new());
    };
    let left = match may_be_lost {
        0 => "no other voter may be lost".to_owned(),
        count => format!("{} more may be lost", counted(count, "voters")),
    };
    let found = missing(status).into_iter().map(|place| {
        let lacks = place.behind.filter(|behind| *behind > 0);
        let lacks = lacks.map(|behind| format!("it lacks {}", counted(behind, "entries")));
        Finding::new(format!("{}, and {left}", missing_since(place)))
            .shown_by(lacks)
            .command("Start it; on its host, this says what keeps it", "chrysalis doctor")
            .cure("If its data is gone, start it with an empty data/: it is taken in again by itself.")
    });
    Ok(found.collect())
}

fn member_behind(facts: &Facts) -> Looked {
    let status = facts.cluster()?;
    let members = status.servers.iter();
    let members = members.filter(|place| place.role != MemberRole::Outside && is_there(place));
    let found = members.filter_map(|place| {
        let who = named(place.server, place.address.as_deref());
        let what = match (place.snapshot_bytes, place.behind) {
            (Some(taken), _) => format!(
                "{who} is behind: it is being sent a snapshot, {} so far",
                bytes(taken)
            ),
            (None, Some(behind)) if behind >= BEHIND_ENTRIES => {
                format!("{who} is behind: it lacks {}", counted(behind, "entries"))
            }
            _ => return None,
        };
        Some(
            Finding::new(what)
                .command(
                    "Wait until it has everything",
                    format!("chrysalis cluster status{}", facts.flag()),
                )
                .command(
                    "If it does not get there, look at its disk, on its host",
                    "chrysalis doctor",
                ),
        )
    });
    Ok(found.collect())
}

/// Voters by the host that the list has them on.
fn voters_by_host<'a>(
    facts: &'a Facts,
    listed: &'a [ClusterServer],
) -> BTreeMap<&'a str, Vec<u16>> {
    let is_voter = |server: &ClusterServer| match &facts.cluster {
        Ok(status) if has_members(status) => status
            .server(server.id.0)
            .is_some_and(|place| place.role == MemberRole::Voter),
        _ => !server.observer,
    };
    let mut hosts: BTreeMap<&str, Vec<u16>> = BTreeMap::new();
    for server in listed.iter().filter(|server| is_voter(server)) {
        hosts.entry(&server.host).or_default().push(server.id.0);
    }
    hosts
}

fn voters_on_one_host(facts: &Facts) -> Looked {
    let cluster = facts.config()?.cluster.as_ref();
    let listed = &cluster.ok_or(Unknown::DoesNotApply)?.servers;
    let hosts = voters_by_host(facts, listed);
    let all: usize = hosts.values().map(Vec::len).sum();
    let takes_all = |there: &&Vec<u16>| there.len() > 1 && all - there.len() < all / 2 + 1;
    let found = hosts.iter().filter(|(_, there)| takes_all(there)).map(|(host, there)| {
        let numbers: Vec<String> = there.iter().map(u16::to_string).collect();
        Finding::new(format!(
            "{} of {} are on one host, {host}: when it goes, nothing is served",
            there.len(),
            counted(all, "voters")
        ))
        .shown(format!("on {host}: server {}", numbers.join(", ")))
        .cure("Put each voter on a host of its own: an observer there, then chrysalis cluster move-vote GIVER TAKER.")
    });
    Ok(found.collect())
}

fn listed_otherwise(facts: &Facts) -> Looked {
    let status = facts.cluster()?;
    let members = status.servers.iter();
    let members =
        members.filter(|place| place.role != MemberRole::Outside && place.address.is_some());
    let otherwise =
        members.filter(|place| place.listed_observer != (place.role == MemberRole::Observer));
    let found = otherwise.map(|place| {
        let (does, says) = match place.listed_observer {
            true => ("votes", "an observer"),
            false => ("has no vote", "a voter"),
        };
        Finding::new(format!(
            "server {} {does}, and cluster.servers here calls it {says}",
            place.server
        ))
        .cure("Correct :observer in cluster.servers on every server, before one starts with an empty data/.")
    });
    Ok(found.collect())
}

fn level_can_rise(facts: &Facts) -> Looked {
    let status = facts.cluster()?;
    let leads = matches!(status.standing, Standing::Leads | Standing::Alone);
    let (now, possible) = (status.level, status.level_possible);
    let finding = Finding::new(format!(
        "the feature level is {now}, and all members support {possible}"
    ));
    let finding = finding.command(
        "When all work well; there is no way back",
        format!("chrysalis cluster raise-level{}", facts.flag()),
    );
    one_if((leads && now > 0 && possible > now).then_some(finding))
}
