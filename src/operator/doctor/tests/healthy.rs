//! A server with which nothing is wrong.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use crate::appliance::Ports;
use crate::appliance::cluster::{ClusterStatus, Leader, MemberRole, ServerPlace, Standing};
use crate::appliance::status::{
    BrokerStatus, CoordinatorStatus, DiskStatus, JournalStatus, Owners, Registration, ServerState,
    ServerStatus,
};
use crate::config::{Config, Machine as ConfigMachine, ServerFolder, from_toml};
use crate::operator::doctor::facts::{
    Answering, Clock, Facts, FileSystem, Files, Journal, Limits, Machine, Memory, Process,
    Registered, Running, Speed, Start, Unit, Unknown,
};

/// Nobody is to read this.
pub(super) const SECRET: &str = "7SNyXJ2j1vqMJPKJ1pXlvgBJjnQ=";

/// A configuration of this text.
pub(super) fn config(text: &str) -> Config {
    let machine = ConfigMachine {
        first_address: Some(Ipv4Addr::new(10, 0, 0, 1)),
        home: Some(PathBuf::from("/home/ann")),
        hosts: Vec::new(),
    };
    from_toml(Path::new("/srv/server1"), text, &machine).expect("it is permitted")
}

/// The whole text; `more` stands below.
pub(super) fn toml(more: &str) -> String {
    format!("[coordinator]\nsuper_digest = \"super:{SECRET}\"\n{more}")
}

pub(super) fn healthy() -> Facts {
    let folder = ServerFolder::new("/srv/server1");
    let status = ServerStatus {
        name: "server1".to_owned(),
        id: 1,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: 4711,
        state: ServerState::Serving,
        uptime_s: 3600,
        ports: Ports {
            coordinator: Some(([127, 0, 0, 1], 2181).into()),
            broker: Some(([127, 0, 0, 1], 8123).into()),
            web: Some(([127, 0, 0, 1], 8120).into()),
        },
        advertised: Some("127.0.0.1:8123".to_owned()),
        coordinator: Some(CoordinatorStatus {
            role: "standalone".to_owned(),
            ..CoordinatorStatus::default()
        }),
        broker: Some(BrokerStatus {
            registration: Registration::Registered,
            owners: Owners::Seen,
            ..BrokerStatus::default()
        }),
        journal: JournalStatus {
            files_max: 8,
            backend: "io_uring".to_owned(),
            ..JournalStatus::default()
        },
        disk: DiskStatus {
            total_bytes: 200 << 30,
            free_bytes: 100 << 30,
        },
        ..ServerStatus::default()
    };
    Facts {
        config: Ok(config(&toml(""))),
        refusals: Vec::new(),
        process: Process::Running(Running {
            pid: Some(4711),
            program_is_gone: Some(false),
            ..Running::default()
        }),
        status: Ok(status),
        cluster: Ok(ClusterStatus {
            name: "server1".to_owned(),
            server: 1,
            standing: Standing::Alone,
            servers: vec![ServerPlace {
                server: 1,
                is_own: true,
                role: MemberRole::Voter,
                ..ServerPlace::default()
            }],
            ..ClusterStatus::default()
        }),
        advertised: Ok(Answering::Own),
        registered: Ok(Registered {
            at_ms: 1_000_500,
            began_ms: 1_000_000,
            now_ms: 4_600_000,
        }),
        start: Start::none(&Unknown::DoesNotApply),
        unit: Err(Unknown::DoesNotApply),
        files: Files {
            owner: Ok(1000),
            strangers: Ok(Vec::new()),
            closed: Ok(Vec::new()),
        },
        file_systems: Ok(vec![FileSystem {
            folder: folder.data(),
            kind: None,
            read_only: false,
            total_bytes: 200 << 30,
            free_bytes: 100 << 30,
            files_free: Some(1_000_000),
        }]),
        speed: Ok(Speed {
            median_us: 300,
            longest_us: 9_000,
            writes: 100,
        }),
        machine: Machine {
            kernel: "6.1.0-13-amd64".to_owned(),
            memory: Ok(Memory {
                bytes: 16 << 30,
                bound: "this host has".to_owned(),
            }),
            overcommit: Ok(0),
            ring_disabled: Some(0),
            clock: Ok(Clock {
                keeper: Some("chronyd".to_owned()),
                not_yet: false,
            }),
        },
        folder,
    }
}

/// One of three, which leads.
pub(super) fn healthy_of_three() -> Facts {
    let mut facts = healthy();
    facts.config = Ok(config(&toml(
        "[server]\nid = 1\n[cluster]\nlisten = \"10.0.0.1\"\nservers = [\"1=10.0.0.1:2888\", \"2=10.0.0.2:2888\", \"3=10.0.0.3:2888\"]\n",
    )));
    let place = |server: u16| ServerPlace {
        server,
        address: Some(format!("10.0.0.{server}:2888")),
        role: MemberRole::Voter,
        is_own: server == 1,
        connected: true,
        since_s: Some(7200),
        behind: Some(0),
        level_supported: Some(1),
        ..ServerPlace::default()
    };
    facts.cluster = Ok(ClusterStatus {
        name: "server1".to_owned(),
        server: 1,
        standing: Standing::Leads,
        leader: Some(Leader {
            server: 1,
            address: Some("10.0.0.1:2888".to_owned()),
            since_s: 7200,
        }),
        term: 4,
        may_be_lost: Some(1),
        level: 1,
        level_possible: 1,
        servers: (1..=3).map(place).collect(),
        ..ClusterStatus::default()
    });
    facts
}

/// One that does not run, and could: that is all that is wrong.
pub(super) fn stopped() -> Facts {
    Facts {
        process: Process::Stopped,
        status: Err(Unknown::DoesNotApply),
        cluster: Err(Unknown::DoesNotApply),
        advertised: Err(Unknown::DoesNotApply),
        registered: Err(Unknown::DoesNotApply),
        start: Start {
            taken: Ok(Vec::new()),
            limits: Ok(Limits::default()),
            journal: Ok(Journal::Whole),
            topics_gone: Ok(Vec::new()),
            locked: Ok(Vec::new()),
            last_words: Ok(None),
        },
        unit: Ok(Unit {
            name: "chrysalis@server1.service".to_owned(),
            ..Unit::default()
        }),
        ..healthy()
    }
}
