//! What the broker's clients meet: whether they find it, whether it is it that they find, and how they read.

use std::net::IpAddr;

use crate::appliance::status::{BrokerStatus, Owners, Registration};
use crate::operator::doctor::check::{Check, Looked, Severity};
use crate::operator::doctor::facts::{Answering, Facts, Unknown};
use crate::operator::doctor::finding::Finding;
use crate::report::some_of;
use crate::units::counted;

pub(super) static CHECKS: [Check; 10] = [
    Check {
        name: "broker-id-taken",
        severity: Severity::Broken,
        means: "Another broker, perhaps a Java one, is registered under this server's id: clients find that one.",
        cure: "Stop the other one, or give this one another id and an empty folder.",
        explains: &["not-registered"],
        look: id_taken,
    },
    Check {
        name: "not-registered",
        severity: Severity::Broken,
        means: "Clients do not find the broker in ZooKeeper.",
        cure: "Its reason says why; mostly ZooKeeper cannot be reached.",
        explains: &["owners-unseen"],
        look: not_registered,
    },
    Check {
        name: "advertised-unreachable",
        severity: Severity::Broken,
        means: "Clients are told an address at which nobody answers, seen from this host.",
        cure: "Set `server.host_name` to one that leads here.",
        explains: &[],
        look: advertised_unreachable,
    },
    Check {
        name: "advertised-elsewhere",
        severity: Severity::Broken,
        means: "Clients are told an address at which another server answers.",
        cure: "Set `server.host_name` to one that leads here.",
        explains: &[],
        look: advertised_elsewhere,
    },
    Check {
        name: "partition-damaged",
        severity: Severity::Broken,
        means: "Damage was found in message files: gets of it are answered 500 (E0203).",
        cure: "Restore the file, or `chrysalis partition skip-damage`.",
        explains: &[],
        look: partition_damaged,
    },
    Check {
        name: "advertised-loopback",
        severity: Severity::AtRisk,
        means: "The broker listens for other hosts, and tells clients an address of the loopback: none but those of this host reach it.",
        cure: "Set `server.host_name`.",
        explains: &[],
        look: advertised_loopback,
    },
    Check {
        name: "owners-unseen",
        severity: Severity::AtRisk,
        means: "The broker cannot read who owns its partitions: no get waits, so messages come as late as with the original.",
        cure: "See that its ZooKeeper can be reached.",
        explains: &[],
        look: owners_unseen,
    },
    Check {
        name: "consumer-not-turned",
        severity: Severity::AtRisk,
        means: "A consumer has fewer threads than partitions and gets 404s: on those partitions its messages are half a second late.",
        cure: "Its reason says what the client lacks.",
        explains: &[],
        look: consumer_not_turned,
    },
    Check {
        name: "consumer-few-threads",
        severity: Severity::Hint,
        means: "Consumers have fewer fetch threads than partitions: the broker frees them by turns, three requests each.",
        cure: "More fetch threads (`fetchRunnerCount`) spare them.",
        explains: &[],
        look: consumer_few_threads,
    },
    Check {
        name: "partition-closed",
        severity: Severity::Hint,
        means: "An operator has closed partitions: puts and gets of them are answered 403.",
        cure: "`chrysalis partition open`.",
        explains: &[],
        look: partition_closed,
    },
];

/// What the conflict over an id is told with.
const ANOTHER_HAS_IT: [&str; 3] = [
    "another broker has this id",
    "was taken by another process",
    "is no broker's",
];
/// A server that has just started is given so long to register.
const REGISTERING_S: u64 = 10;

fn one_if(finding: Option<Finding>) -> Looked {
    Ok(finding.into_iter().collect())
}

fn broker(facts: &Facts) -> Result<&BrokerStatus, Unknown> {
    facts.status()?.broker.as_ref().ok_or(Unknown::DoesNotApply)
}

fn conflict(broker: &BrokerStatus) -> Option<&str> {
    let Registration::Failing { reason } = &broker.registration else {
        return None;
    };
    let is_conflict = ANOTHER_HAS_IT.iter().any(|words| reason.contains(words));
    is_conflict.then_some(reason)
}

fn id_taken(facts: &Facts) -> Looked {
    let reason = conflict(broker(facts)?);
    let id = facts.status()?.id;
    let (root, there) = facts.registry();
    one_if(reason.map(|reason| {
        Finding::new(format!(
            "clients do not find this broker, because something else is registered under its id {id}"
        ))
        .shown(reason)
        .command("See what is there", format!("chrysalis zk get {root}/brokers/ids/{id}/master{there}"))
        .cure("Stop that broker. Or give this one an id of its own and a folder of its own: its message ids belong to the id.")
    }))
}

fn not_registered(facts: &Facts) -> Looked {
    let broker = broker(facts)?;
    let young = facts.status()?.uptime_s < REGISTERING_S;
    let why = match &broker.registration {
        Registration::Off | Registration::Registered => None,
        Registration::Trying => (!young).then_some("it goes on trying"),
        Registration::Failing { reason } => Some(reason.as_str()),
    };
    let (_, there) = facts.registry();
    one_if(why.map(|why| {
        Finding::new("clients do not find this broker in ZooKeeper")
            .shown(why)
            .command(
                "See whether ZooKeeper answers",
                format!("chrysalis zk ls /{there}"),
            )
    }))
}

fn address(facts: &Facts) -> Result<&str, Unknown> {
    let advertised = facts.status()?.advertised.as_deref();
    advertised.ok_or(Unknown::DoesNotApply)
}

fn lead_here(finding: Finding, facts: &Facts) -> Finding {
    finding
        .cure("Set server.host_name to a name or address of this host that clients reach.")
        .command("Then restart it", facts.command("restart"))
}

fn advertised_unreachable(facts: &Facts) -> Looked {
    let Answering::Nobody(why) = facts.advertised.as_ref().map_err(Unknown::clone)? else {
        return Ok(Vec::new());
    };
    let finding = Finding::new(format!(
        "clients are told to connect to {}, where nobody answers",
        address(facts)?
    ));
    let finding = finding.shown(format!("seen from this host: {why}"));
    one_if(Some(lead_here(finding, facts)))
}

fn advertised_elsewhere(facts: &Facts) -> Looked {
    let Answering::Another(who) = facts.advertised.as_ref().map_err(Unknown::clone)? else {
        return Ok(Vec::new());
    };
    let finding = Finding::new(format!(
        "clients are told to connect to {}, where another server answers",
        address(facts)?
    ));
    one_if(Some(lead_here(finding.shown(who), facts)))
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn advertised_loopback(facts: &Facts) -> Looked {
    let broker = facts.config()?.broker.as_ref();
    let broker = broker.ok_or(Unknown::DoesNotApply)?;
    let host = &broker.advertised_host;
    let is_meant_for_others = broker.zookeeper.register && !broker.listen.is_loopback();
    if !is_meant_for_others || !is_loopback(host) {
        return Ok(Vec::new());
    }
    let finding = Finding::new(format!(
        "the broker listens for other hosts, and tells their clients to connect to {host}, which is themselves"
    ));
    one_if(Some(lead_here(finding, facts)))
}

fn owners_unseen(facts: &Facts) -> Looked {
    let Owners::Unseen { reason } = &broker(facts)?.owners else {
        return Ok(Vec::new());
    };
    let (_, there) = facts.registry();
    one_if(Some(
        Finding::new("messages come late to consumers, because the broker does not see who owns its partitions")
            .shown(reason)
            .command("See whether ZooKeeper answers", format!("chrysalis zk ls /{there}")),
    ))
}

fn partition_damaged(facts: &Facts) -> Looked {
    let damaged = &broker(facts)?.damaged;
    one_if((!damaged.is_empty()).then(|| {
        let finding = Finding::new(format!(
            "gets are answered 500, because damage was found in {}",
            some_of(damaged)
        ));
        finding.command("See what to do", "chrysalis explain E0203")
    }))
}

fn consumer_not_turned(facts: &Facts) -> Looked {
    let not_turned = &broker(facts)?.consumers.not_turned;
    let found = not_turned.iter().map(|(group, why)| {
        Finding::new(format!(
            "messages are half a second late for group {group}, which has fewer threads than partitions and gets 404s"
        ))
        .shown(&why.reason)
        .command("See its consumers", format!("chrysalis topic list{}", facts.flag()))
        .cure("Give its consumers as many fetch threads as partitions, or do what the reason says.")
    });
    Ok(found.collect())
}

fn consumer_few_threads(facts: &Facts) -> Looked {
    let consumers = &broker(facts)?.consumers;
    one_if((consumers.few_threads > 0).then(|| {
        Finding::new(format!(
            "{} of {} that wait here have fewer fetch threads than partitions",
            consumers.few_threads,
            counted(consumers.count, "consumers")
        ))
        .shown(format!(
            "they were given {}, and {} got a 404",
            counted(consumers.turns, "turns"),
            counted(consumers.refused, "gets")
        ))
        .command(
            "See each of them",
            format!("chrysalis topic describe TOPIC{}", facts.flag()),
        )
        .cure("With as many fetch threads as partitions (fetchRunnerCount) no turn is needed.")
    }))
}

fn partition_closed(facts: &Facts) -> Looked {
    let closed = &broker(facts)?.closed;
    one_if((!closed.is_empty()).then(|| {
        let finding = Finding::new(format!(
            "puts and gets are answered 403, because an operator has closed {}",
            some_of(closed)
        ));
        finding.command(
            "Open them",
            format!(
                "chrysalis partition open {}{}",
                topic_of(&closed[0]),
                facts.flag()
            ),
        )
    }))
}

/// The topic of a partition's name, `TOPIC-NUMBER`.
fn topic_of(partition: &str) -> &str {
    partition
        .rsplit_once('-')
        .map_or(partition, |(topic, _)| topic)
}
