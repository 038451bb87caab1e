//! Each fault: the facts that it changes, the check that finds it, and the first line that is told of it.

use std::path::PathBuf;

use super::healthy::{config, healthy, healthy_of_three, stopped, toml};
use crate::appliance::cluster::{ClusterStatus, MemberRole, Standing};
use crate::appliance::status::{
    BrokerStatus, Consumers, NotTurned, Owners, Registration, ServerStatus,
};
use crate::operator::doctor::facts::{
    Answering, Clock, Dishonest, Facts, FileSystem, Journal, Locked, Memory, Process, Running,
    TakenPort, Unknown,
};

/// Something that befalls a server.
pub(super) struct Fault {
    /// The server as it was.
    pub(super) of: fn() -> Facts,
    /// What finds it.
    pub(super) check: &'static str,
    /// The first line, behind the server's name.
    pub(super) line: &'static str,
    /// What befalls it.
    pub(super) befall: fn(&mut Facts),
}

const fn fault(
    of: fn() -> Facts,
    check: &'static str,
    line: &'static str,
    befall: fn(&mut Facts),
) -> Fault {
    Fault {
        of,
        check,
        line,
        befall,
    }
}

fn status(facts: &mut Facts) -> &mut ServerStatus {
    facts.status.as_mut().expect("it runs")
}

fn broker(facts: &mut Facts) -> &mut BrokerStatus {
    status(facts).broker.as_mut().expect("it is one")
}

fn cluster(facts: &mut Facts) -> &mut ClusterStatus {
    facts.cluster.as_mut().expect("it runs")
}

fn running(facts: &mut Facts) -> &mut Running {
    match &mut facts.process {
        Process::Running(running) => running,
        Process::Stopped => panic!("it runs"),
    }
}

fn disk(facts: &mut Facts) -> &mut FileSystem {
    &mut facts.file_systems.as_mut().expect("it is known")[0]
}

fn warn(facts: &mut Facts, warning: &str) {
    status(facts).warnings.push(warning.to_owned());
}

/// Nobody leads, because these are away.
fn leaderless(facts: &mut Facts, missing: &[(u16, Option<u64>)]) {
    let cluster = cluster(facts);
    cluster.standing = Standing::Leaderless;
    (cluster.leader, cluster.may_be_lost) = (None, None);
    for (server, since_s) in missing {
        let mut places = cluster.servers.iter_mut();
        let place = places
            .find(|place| place.server == *server)
            .expect("there is one");
        (place.connected, place.since_s) = (false, *since_s);
    }
    warn(facts, "the ensemble has no leader: waiting for server 2, 3");
    broker(facts).registration = Registration::Failing {
        reason: "connect to ZooKeeper".to_owned(),
    };
}

pub(super) const FAULTS: &[Fault] = &[
    fault(
        stopped,
        "configuration-mistaken",
        "the server does not start, because its configuration is wrong: conf/server.toml:3: no such key",
        |facts| facts.config = Err(vec!["conf/server.toml:3: no such key".to_owned()]),
    ),
    fault(
        healthy,
        "configuration-mistaken",
        "the server runs on, and its next start is refused, because its configuration is wrong: conf/server.toml is empty and 1 more mistake",
        |facts| {
            facts.config = Err(vec![
                "conf/server.toml is empty".to_owned(),
                "another".to_owned(),
            ])
        },
    ),
    fault(
        stopped,
        "start-refused",
        "the server does not start, because this host refuses its configuration: broker.listen is 10.9.9.9: it is no address of this machine",
        |facts| {
            facts.refusals =
                vec!["broker.listen is 10.9.9.9: it is no address of this machine".to_owned()]
        },
    ),
    fault(
        stopped,
        "files-of-another-user",
        "the server's user 1000 cannot use /srv/server1/data/journal/00.journal, which belongs to user 0",
        |facts| {
            facts.files.strangers = Ok(vec![(
                PathBuf::from("/srv/server1/data/journal/00.journal"),
                0,
            )])
        },
    ),
    fault(
        stopped,
        "folder-closed",
        "the server may not write to its own folder /srv/server1/data: its mode is 0550",
        |facts| facts.files.closed = Ok(vec![(facts.folder.data(), "its mode is 0550".to_owned())]),
    ),
    fault(
        stopped,
        "file-system-read-only",
        "nothing can be written to /srv/server1/data: its file system is mounted read-only",
        |facts| disk(facts).read_only = true,
    ),
    fault(
        stopped,
        "folder-in-use",
        "the server does not start, because process 99 uses its folder /srv/topics",
        |facts| {
            let folder = PathBuf::from("/srv/topics");
            facts.start.locked = Ok(vec![Locked { folder, pid: 99 }]);
        },
    ),
    fault(
        stopped,
        "port-taken",
        "the server does not start, because process 17 (java) has its port 127.0.0.1:8123 (broker.port)",
        |facts| {
            facts.start.taken = Ok(vec![TakenPort {
                key: "broker.port",
                address: ([127, 0, 0, 1], 8123).into(),
                by: Some("process 17 (java)".to_owned()),
            }]);
        },
    ),
    fault(
        stopped,
        "journal-gone",
        "the server does not start, because its journal /srv/server1/data/journal is gone",
        |facts| facts.start.journal = Ok(Journal::Gone),
    ),
    fault(
        stopped,
        "journal-damaged",
        "the server cannot read its journal, which is damaged",
        |facts| facts.start.journal = Ok(Journal::Damaged("batch 7: wrong checksum".to_owned())),
    ),
    fault(
        stopped,
        "journal-newer",
        concat!(
            "a newer version than this one (",
            env!("CARGO_PKG_VERSION"),
            ") wrote the journal, and this one does not serve it"
        ),
        |facts| facts.start.journal = Ok(Journal::Newer("the journal is of format 9".to_owned())),
    ),
    fault(
        stopped,
        "topics-gone",
        "the server does not start, because its folder of topics /mnt/topics is gone",
        |facts| facts.start.topics_gone = Ok(vec![PathBuf::from("/mnt/topics")]),
    ),
    fault(
        stopped,
        "limit-refuses",
        "a start from here is refused, because the limit of open files is 100, and this server needs 264",
        |facts| {
            let limits = facts.start.limits.as_mut().expect("they are known");
            limits.refused =
                Some("the limit of open files is 100, and this server needs 264".to_owned());
        },
    ),
    fault(
        stopped,
        "unit-failed",
        "the server does not run: systemd has given up its unit chrysalis@server1.service",
        |facts| {
            let unit = facts.unit.as_mut().expect("there is one");
            (unit.failed, unit.exit_code) = (true, Some(70));
        },
    ),
    fault(
        stopped,
        "last-start-failed",
        "the server does not run: its last start ended with an error",
        |facts| {
            facts.start.last_words = Ok(Some("E0202 read the coordinator's snapshot".to_owned()))
        },
    ),
    fault(
        stopped,
        "not-running",
        "the server does not run, and nothing here keeps it from starting",
        |_| {},
    ),
    fault(
        healthy,
        "suspended",
        "nothing is served, because its process 4711 is suspended",
        |facts| running(facts).suspended = true,
    ),
    fault(
        healthy,
        "not-answering",
        "its process 4711 runs and does not answer: it starts, stops or hangs",
        |facts| running(facts).silent = Some("no answer within 2 seconds".to_owned()),
    ),
    fault(
        healthy,
        "program-replaced",
        "the file of the running program was replaced or removed: the next start runs another one",
        |facts| {
            running(facts).program_is_gone = Some(true);
            status(facts).version = "0.0.1".to_owned();
        },
    ),
    fault(
        healthy,
        "version-differs",
        concat!(
            "the server runs version 0.0.1, and this command is version ",
            env!("CARGO_PKG_VERSION")
        ),
        |facts| status(facts).version = "0.0.1".to_owned(),
    ),
    fault(
        healthy_of_three,
        "no-quorum",
        "nothing is served, because servers 2 and 3 are missing: 2 of 3 voters are needed",
        |facts| leaderless(facts, &[(2, Some(12)), (3, None)]),
    ),
    fault(
        healthy_of_three,
        "ensemble-not-founded",
        "nothing is served, because the ensemble is not founded yet: server 3 has to be there once",
        |facts| {
            leaderless(facts, &[(3, None)]);
            let cluster = cluster(facts);
            cluster.standing = Standing::Outside;
            cluster
                .servers
                .iter_mut()
                .for_each(|place| place.role = MemberRole::Outside);
        },
    ),
    fault(
        healthy_of_three,
        "taken-out",
        "nothing is served here, because this server was taken out of the ensemble",
        |facts| {
            leaderless(facts, &[]);
            cluster(facts).standing = Standing::Removed;
            cluster(facts).servers[0].role = MemberRole::Outside;
        },
    ),
    fault(
        healthy_of_three,
        "taken-out",
        "nothing is served here, because the ensemble was recovered on another server and goes on there",
        |facts| {
            leaderless(facts, &[]);
            cluster(facts).standing = Standing::Replaced;
        },
    ),
    fault(
        healthy_of_three,
        "not-a-member",
        "nothing is served here, because there is an ensemble and this server is not in it",
        |facts| {
            leaderless(facts, &[]);
            cluster(facts).standing = Standing::Outside;
            cluster(facts).servers[0].role = MemberRole::Outside;
        },
    ),
    fault(
        healthy_of_three,
        "data-differs",
        "server 2 (10.0.0.2:2888) serves nobody, because its data is not that of the others",
        |facts| cluster(facts).servers[1].differs = true,
    ),
    fault(
        healthy_of_three,
        "server-refused",
        "server 3 (10.0.0.3:2888) comes and is not let in: its data is another ensemble's",
        |facts| {
            cluster(facts).may_be_lost = Some(0);
            let place = &mut cluster(facts).servers[2];
            place.connected = false;
            place.refused = Some("its data is another ensemble's".to_owned());
        },
    ),
    fault(
        healthy_of_three,
        "voter-missing",
        "server 3 (10.0.0.3:2888) has been missing for 5 min 0 s, and no other voter may be lost",
        |facts| {
            cluster(facts).may_be_lost = Some(0);
            let place = &mut cluster(facts).servers[2];
            (place.connected, place.since_s, place.behind) = (false, Some(300), Some(88));
        },
    ),
    fault(
        healthy_of_three,
        "member-behind",
        "server 2 (10.0.0.2:2888) is behind: it lacks 123456 entries",
        |facts| cluster(facts).servers[1].behind = Some(123_456),
    ),
    fault(
        healthy_of_three,
        "member-behind",
        "server 2 (10.0.0.2:2888) is behind: it is being sent a snapshot, 1 MiB so far",
        |facts| cluster(facts).servers[1].snapshot_bytes = Some(1 << 20),
    ),
    fault(
        healthy_of_three,
        "voters-on-one-host",
        "2 of 3 voters are on one host, 10.0.0.1: when it goes, nothing is served",
        |facts| {
            let own = facts.config.as_mut().expect("it is right");
            own.cluster.as_mut().expect("it has others").servers[1].host = "10.0.0.1".to_owned();
        },
    ),
    fault(
        healthy_of_three,
        "listed-otherwise",
        "server 3 votes, and cluster.servers here calls it an observer",
        |facts| cluster(facts).servers[2].listed_observer = true,
    ),
    fault(
        healthy_of_three,
        "level-can-rise",
        "the feature level is 1, and all members support 2",
        |facts| cluster(facts).level_possible = 2,
    ),
    fault(
        healthy,
        "disk-full",
        "puts are refused, because the disk of /srv/server1/data is full: 1 MiB are free",
        |facts| {
            disk(facts).free_bytes = 1 << 20;
            broker(facts).refusing_puts = true;
            warn(
                facts,
                "the disk is nearly full: puts are refused; make room",
            );
        },
    ),
    fault(
        healthy,
        "disk-full",
        "puts are refused, because the disk has or had no room",
        |facts| broker(facts).refusing_puts = true,
    ),
    fault(
        healthy,
        "no-files-left",
        "no file can be made in /srv/server1/data: its file system has no inodes left",
        |facts| disk(facts).files_free = Some(0),
    ),
    fault(
        healthy,
        "disk-nearly-full",
        "the disk of /srv/server1/data is nearly full: 512 MiB are free, and puts are refused below 256 MiB",
        |facts| disk(facts).free_bytes = 512 << 20,
    ),
    fault(
        healthy,
        "syncs-not-honest",
        "/srv/server1/data is in memory (tmpfs): a reboot loses all of it",
        |facts| disk(facts).kind = Some(Dishonest::Memory("tmpfs")),
    ),
    fault(
        healthy,
        "syncs-not-honest",
        "/srv/server1/data is on a network (nfs): what is acknowledged is as safe as that server keeps it",
        |facts| disk(facts).kind = Some(Dishonest::Network("nfs")),
    ),
    fault(
        healthy,
        "syncs-not-honest",
        "/srv/server1/data is a container's own (overlay): it goes with the container",
        |facts| disk(facts).kind = Some(Dishonest::Container("overlay")),
    ),
    fault(
        healthy,
        "disk-slow",
        "the disk of /srv/server1/data is slow: half of the writes took 83.5 ms or more until they were safe, and no put is faster",
        |facts| facts.speed.as_mut().expect("it was tried").median_us = 83_500,
    ),
    fault(
        healthy,
        "broker-id-taken",
        "clients do not find this broker, because something else is registered under its id 1",
        |facts| {
            broker(facts).registration = Registration::Failing {
                reason: "/meta/brokers/ids/1/master is held by meta://old:8123 (session 0x1): another broker has this id"
                    .to_owned(),
            };
        },
    ),
    fault(
        healthy,
        "not-registered",
        "clients do not find this broker in ZooKeeper",
        |facts| {
            broker(facts).registration = Registration::Failing {
                reason: "connect to ZooKeeper at zk1:2181: connection refused".to_owned(),
            };
            broker(facts).owners = Owners::Unseen {
                reason: "no connection to ZooKeeper".to_owned(),
            };
        },
    ),
    fault(
        healthy,
        "advertised-unreachable",
        "clients are told to connect to 127.0.0.1:8123, where nobody answers",
        |facts| facts.advertised = Ok(Answering::Nobody("connection refused".to_owned())),
    ),
    fault(
        healthy,
        "advertised-elsewhere",
        "clients are told to connect to 127.0.0.1:8123, where another server answers",
        |facts| {
            facts.advertised = Ok(Answering::Another(
                "it is broker 2, process 9 on its host".to_owned(),
            ))
        },
    ),
    fault(
        healthy,
        "partition-damaged",
        "gets are answered 500, because damage was found in orders-3",
        |facts| broker(facts).damaged = vec!["orders-3".to_owned()],
    ),
    fault(
        healthy,
        "advertised-loopback",
        "the broker listens for other hosts, and tells their clients to connect to localhost, which is themselves",
        |facts| {
            facts.config = Ok(config(&toml(
                "[server]\nlisten = \"10.0.0.1\"\nhost_name = \"localhost\"\n",
            )));
        },
    ),
    fault(
        healthy,
        "owners-unseen",
        "messages come late to consumers, because the broker does not see who owns its partitions",
        |facts| {
            broker(facts).owners = Owners::Unseen {
                reason: "ZooKeeper does not answer".to_owned(),
            };
        },
    ),
    fault(
        healthy,
        "consumer-not-turned",
        "messages are half a second late for group mail, which has fewer threads than partitions and gets 404s",
        |facts| {
            let why = NotTurned {
                code: "old-client".to_owned(),
                reason: "its client is older than 1.4.6".to_owned(),
            };
            broker(facts).consumers.not_turned = [("mail".to_owned(), why)].into();
        },
    ),
    fault(
        healthy,
        "consumer-few-threads",
        "1 of 3 consumers that wait here have fewer fetch threads than partitions",
        |facts| {
            broker(facts).consumers = Consumers {
                count: 3,
                few_threads: 1,
                turns: 412,
                ..Consumers::default()
            };
        },
    ),
    fault(
        healthy,
        "partition-closed",
        "puts and gets are answered 403, because an operator has closed orders-0, orders-1",
        |facts| broker(facts).closed = vec!["orders-0".to_owned(), "orders-1".to_owned()],
    ),
    fault(
        healthy,
        "clocks-apart",
        "the clock of the coordinator's leader is 95 s or more ahead of this host's, or one of them was set",
        |facts| {
            let registered = facts.registered.as_mut().expect("it is known");
            registered.at_ms = registered.now_ms + 95_000;
            facts.machine.clock = Ok(Clock::default());
        },
    ),
    fault(
        healthy,
        "clocks-apart",
        "the clock of the coordinator's leader is 7 s or more behind this host's, or one of them was set",
        |facts| {
            let registered = facts.registered.as_mut().expect("it is known");
            registered.at_ms = registered.began_ms - 7_000;
        },
    ),
    fault(
        healthy,
        "memory-too-small",
        "clients may make the server need 1.6 GiB, and its control group permits 512 MiB: the kernel may kill it",
        |facts| {
            facts.machine.memory = Ok(Memory {
                bytes: 512 << 20,
                bound: "its control group permits".to_owned(),
            });
        },
    ),
    fault(
        healthy,
        "memory-not-overcommitted",
        "the kernel gives out no memory that others have reserved (vm.overcommit_memory is 2), and a server that gets none ends",
        |facts| facts.machine.overcommit = Ok(2),
    ),
    fault(
        healthy,
        "io-uring-refused",
        "the kernel refuses io_uring, so threads write the journal",
        |facts| {
            status(facts).journal.backend =
                "threads (io_uring answered: Operation not permitted)".to_owned();
            facts.machine.ring_disabled = Some(2);
        },
    ),
    fault(
        healthy,
        "clock-unkept",
        "nothing on this host keeps its clock right: neither chronyd, ntpd nor systemd-timesyncd runs",
        |facts| facts.machine.clock = Ok(Clock::default()),
    ),
    fault(
        healthy,
        "clock-unkept",
        "the clock of this host is not synchronised yet, says systemd-timesyncd",
        |facts| {
            facts.machine.clock = Ok(Clock {
                keeper: Some("systemd-timesyncd".to_owned()),
                not_yet: true,
            });
        },
    ),
    fault(
        healthy,
        "kernel-old",
        "the kernel is 4.19.0-25-amd64: before 5.8 it does not report all errors of syncs",
        |facts| facts.machine.kernel = "4.19.0-25-amd64".to_owned(),
    ),
    fault(
        healthy_of_three,
        "broker-held",
        "no message is served, because the journal was damaged and the broker waits for your decision",
        |facts| {
            warn(
                facts,
                "the broker serves nobody: its journal was damaged, and is in /srv/server1/data/journal/damaged now",
            );
            status(facts).broker = None;
            facts.advertised = Err(Unknown::DoesNotApply);
        },
    ),
    fault(
        healthy_of_three,
        "journal-disk-hangs",
        "nothing is served here, because the disk of the journal does nothing",
        |facts| {
            warn(
                facts,
                "the disk of its journal does nothing: look for what keeps it busy, or replace it",
            )
        },
    ),
    fault(
        healthy,
        "descriptors-used-up",
        "puts are refused, because the process has as many files open as it may",
        |facts| {
            warn(
                facts,
                "too many files are open: puts are refused; raise LimitNOFILE, or `ulimit -n`",
            )
        },
    ),
    fault(
        healthy,
        "message-folder-gone",
        "puts are refused, because a folder of message files has gone",
        |facts| {
            warn(
                facts,
                "a folder of message files is not there: puts that need it are refused",
            )
        },
    ),
    fault(
        healthy,
        "journal-stuck",
        "writes are refused or not answered, because the journal cannot go on",
        |facts| {
            warn(
                facts,
                "the journal is full and its next file cannot be made: no write is answered; no space",
            )
        },
    ),
    fault(
        healthy_of_three,
        "ensemble-waits",
        "the coordinator serves nobody here yet",
        |facts| warn(facts, "this server has not caught up with the ensemble yet"),
    ),
    fault(
        healthy,
        "loss-accepted",
        "this start went on without data that was damaged",
        |facts| {
            warn(
                facts,
                "this start accepted a loss: everything written after the damage in the journal is gone",
            )
        },
    ),
    fault(
        healthy,
        "snapshot-fails",
        "the journal fills up, because no snapshot of the znodes can be written",
        |facts| {
            warn(
                facts,
                "no snapshot of the coordinator can be written, so the journal keeps its entries: no space",
            )
        },
    ),
    fault(
        healthy,
        "connections-limited",
        "fewer connections are let in than are configured, because the process may have too few files open",
        |facts| {
            warn(
                facts,
                "each port takes 200 connections, not 4096: the process may not have more files open",
            )
        },
    ),
    fault(
        healthy,
        "limit-low",
        "a limit of the process is lower than what the configuration wants",
        |facts| {
            warn(
                facts,
                "the limit of the processor time (seconds) is 60: the system kills the server",
            )
        },
    ),
    fault(
        healthy,
        "server-says",
        "connections hold all the memory they may: some are not read from",
        |facts| {
            warn(
                facts,
                "connections hold all the memory they may: some are not read from",
            )
        },
    ),
    fault(
        healthy,
        "configuration-note",
        "the cluster has 2 servers: it needs both",
        |facts| {
            let own = facts.config.as_mut().expect("it is right");
            own.source
                .notes
                .push("the cluster has 2 servers: it needs both".to_owned());
        },
    ),
];
