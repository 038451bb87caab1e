//! What an operator reads of an ensemble.

use super::*;
use crate::appliance::cluster::Leader;
use crate::tests::golden::assert_golden;

fn place(server: u16, role: MemberRole) -> ServerPlace {
    ServerPlace {
        server,
        address: Some(format!("10.0.0.{server}:2888")),
        role,
        is_own: server == 1,
        connected: true,
        since_s: (server != 1).then_some(7_260),
        behind: (server != 1 && role != MemberRole::Outside).then_some(0),
        level_supported: Some(1),
        ..ServerPlace::default()
    }
}

fn three() -> ClusterStatus {
    ClusterStatus {
        name: "server1".to_owned(),
        server: 1,
        standing: Standing::Leads,
        leader: Some(Leader {
            server: 1,
            address: Some("10.0.0.1:2888".to_owned()),
            since_s: 7_300,
        }),
        term: 4,
        committed: 1_000,
        applied: 1_000,
        differing_found: 0,
        may_be_lost: Some(1),
        level: 1,
        level_possible: 1,
        servers: (1..=3).map(|it| place(it, MemberRole::Voter)).collect(),
    }
}

/// A server that has just lost sight of another.
fn one_missing() -> ClusterStatus {
    let mut status = three();
    status.may_be_lost = Some(0);
    status.servers[2] = ServerPlace {
        connected: false,
        since_s: Some(12),
        behind: Some(88),
        ..status.servers[2].clone()
    };
    status
}

fn growing() -> ClusterStatus {
    let mut status = three();
    status.may_be_lost = Some(0);
    status.servers[1] = ServerPlace {
        behind: Some(4_711),
        snapshot_bytes: Some(3 << 20),
        invited: true,
        ..place(2, MemberRole::Learner)
    };
    status.servers[2] = place(3, MemberRole::Outside);
    status
}

fn follows() -> ClusterStatus {
    let mut status = three();
    status.standing = Standing::Follows;
    status.leader = Some(Leader {
        server: 2,
        address: Some("10.0.0.2:2888".to_owned()),
        since_s: 61,
    });
    status.servers.iter_mut().for_each(|it| it.behind = None);
    status
}

fn leaderless() -> ClusterStatus {
    let mut status = follows();
    (status.standing, status.leader, status.may_be_lost) = (Standing::Leaderless, None, None);
    for place in &mut status.servers[1..] {
        (place.connected, place.since_s) = (false, None);
    }
    status
}

fn alone() -> ClusterStatus {
    ClusterStatus {
        standing: Standing::Alone,
        may_be_lost: Some(0),
        servers: vec![place(1, MemberRole::Voter)],
        ..three()
    }
}

fn alone_with_a_list() -> ClusterStatus {
    let mut status = three();
    status.standing = Standing::Alone;
    status.may_be_lost = Some(0);
    status.servers[1] = place(2, MemberRole::Outside);
    status.servers[2] = ServerPlace {
        refused: Some("it belongs to another ensemble, or has a tree of its own".to_owned()),
        connected: false,
        since_s: None,
        ..place(3, MemberRole::Outside)
    };
    status
}

fn differing() -> ClusterStatus {
    let mut status = three();
    status.servers[1].differs = true;
    status.servers[1].snapshot_bytes = Some(3 << 20);
    status.differing_found = 1;
    status
}

/// Two servers have a new release, and one has not.
fn half_upgraded() -> ClusterStatus {
    let mut status = three();
    status.servers[0].level_supported = Some(2);
    status.servers[1].level_supported = Some(2);
    status
}

fn upgraded() -> ClusterStatus {
    let mut status = half_upgraded();
    status.servers[2].level_supported = Some(2);
    status.level_possible = 2;
    status
}

/// Two observers, one of them lost; nobody has to do anything about that.
fn observed() -> ClusterStatus {
    let mut status = three();
    for server in [4, 5] {
        let mut place = place(server, MemberRole::Observer);
        place.listed_observer = true;
        status.servers.push(place);
    }
    status.servers[4] = ServerPlace {
        connected: false,
        behind: Some(3_000),
        ..status.servers[4].clone()
    };
    status
}

/// A voter is missing, and an observer is there.
fn replaceable() -> ClusterStatus {
    let mut status = observed();
    status.servers.truncate(4);
    (status.servers[2].connected, status.may_be_lost) = (false, Some(0));
    status
}

/// The vote of server 3 goes to server 4, which has what it needs; server 3 is dead.
fn moving() -> ClusterStatus {
    let mut status = observed();
    status.servers.truncate(4);
    status.servers[2].gives_vote = true;
    (status.servers[2].connected, status.may_be_lost) = (false, Some(0));
    status.servers[3].takes_vote = true;
    status.servers[3].behind = Some(12);
    status
}

/// And has gone there.
fn moved() -> ClusterStatus {
    let mut status = observed();
    status.servers.truncate(4);
    status.servers[2].role = MemberRole::Observer;
    status.servers[3].role = MemberRole::Voter;
    status
}

/// An observer that is on the list and was never started.
fn awaited() -> ClusterStatus {
    let mut status = observed();
    status.servers.truncate(4);
    status.servers[3].role = MemberRole::Outside;
    (status.servers[3].connected, status.servers[3].behind) = (false, None);
    status
}

fn outside() -> ClusterStatus {
    let mut status = three();
    (status.standing, status.leader, status.term) = (Standing::Outside, None, 0);
    for place in &mut status.servers {
        (place.role, place.behind) = (MemberRole::Outside, None);
    }
    status.servers[2].connected = false;
    status
}

#[test]
fn the_picture_of_an_ensemble() {
    let pictures = [
        three(),
        one_missing(),
        growing(),
        follows(),
        leaderless(),
        alone(),
        alone_with_a_list(),
        outside(),
        differing(),
        half_upgraded(),
        upgraded(),
        observed(),
        replaceable(),
        moving(),
        moved(),
        awaited(),
    ];
    let pictures = pictures.map(|status| cluster(&status, Some(100)));
    assert_golden("src/operator/cluster/cluster.txt", &pictures.join("\n"));
}

#[test]
fn the_json_of_an_ensemble_is_what_scripts_may_rely_on() {
    let json = serde_json::to_string_pretty(&one_missing()).expect("plain data");
    assert_golden("src/operator/cluster/cluster.json", &format!("{json}\n"));
}

#[test]
fn who_waits_for_a_server_is_told_what_keeps_it() {
    let told = |status: &ClusterStatus, server| waits_for(status, server);
    assert!(told(&growing(), 2).contains("3 MiB so far"));
    assert!(told(&one_missing(), 3).contains("is not connected"));
    assert!(told(&alone_with_a_list(), 3).contains("empty data folder"));
    assert!(told(&three(), 4).contains("not in cluster.servers"));
}
