//! What befalls the disk of a server: no room, a flipped bit, an empty folder, and a journal that others need no more.

use super::{Trial, VOTES};
use crate::harness::bits::{files, flip};
use crate::harness::cluster::Cluster;
use crate::harness::command::chrysalis_with;
use crate::harness::lab::mount::Mount;
use crate::harness::lab::network::Network;
use crate::harness::process::eventually;
use crate::harness::server::set_key;
use crate::harness::zookeeper_wire::{Body, op};
use nix::sys::statvfs::statvfs;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

const MIB: u64 = 1 << 20;
/// One file of a journal, the smallest beside `cluster.servers`.
const JOURNAL_FILE: u64 = 32 * MIB;
/// So many at most, on the small disk.
const JOURNAL_FILES: u64 = 4;
/// What one write puts into every journal, when journals are to grow.
const PIECE: usize = 500_000;
/// What is found in a journal, to be damaged there.
const MARK: &[u8] = b"a bit of this turns over";
/// What is found in each snapshot: the name of a znode.
const NAME: &str = "sequence";
/// Whatever a server does by itself, it does by then.
const SOON: Duration = Duration::from_secs(60);
/// What a server writes to its log when its broker waits for an operator.
const HELD: &str = "the broker serves nobody";
/// What a server writes to its log when it can write nothing any more.
const FULL: &str = "the journal is full and its next file cannot be made";
/// For sessions that outlive every outage.
const TIMEOUT_MS: i32 = 60_000;

/// So many that there is one on each server, soon.
pub(super) fn with_many_snapshots(config: &mut String) {
    set_key(config, "coordinator", "snapshot_every_entries", "300");
}

/// And little in memory for one that is away.
pub(super) fn with_a_short_memory(config: &mut String) {
    with_many_snapshots(config);
    set_key(config, "cluster", "window_bytes", "4096");
}

/// What a bit turns over in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Damage {
    Journal,
    Snapshot,
}

/// A small disk for the data of one server.
pub(super) struct OwnDisk {
    server: usize,
    mount: Option<Mount>,
}

impl OwnDisk {
    /// It is there before the server starts.
    pub(super) fn of(server: usize) -> OwnDisk {
        // All that the journal may take, and as much again.
        let mount = Mount::tmpfs(2 * JOURNAL_FILES * JOURNAL_FILE);
        OwnDisk { server, mount }
    }

    pub(super) fn trial(&self, befall: impl FnOnce(&mut Trial, &OwnDisk)) {
        let Some(mount) = &self.mount else {
            return;
        };
        let Some(network) = Network::of(3) else {
            return;
        };
        let cluster = Cluster::prepare_on(network, |config| {
            set_key(config, "journal", "file_bytes", &JOURNAL_FILE.to_string());
            set_key(config, "journal", "files_max", &JOURNAL_FILES.to_string());
            set_key(config, "disk", "reserve_bytes", &(2 * MIB).to_string());
        });
        cluster.keep_data_in(self.server, mount.path());
        Trial::of(cluster, |trial| befall(trial, self));
    }

    fn folder(&self) -> &Path {
        self.mount.as_ref().expect("there is one").path()
    }

    /// Nothing fits any more, while more is written than there is room for in the journal; and then there is room.
    pub(super) fn is_full_for_a_while(&self, trial: &mut Trial) {
        let ballast = self.folder().join("ballast");
        let mut file = File::create(&ballast).expect("make the ballast");
        while self.room() > 0 && file.write_all(&[0; 4096]).is_ok() {}
        trial.write_much(JOURNAL_FILES * JOURNAL_FILE);
        eventually("its journal is full", SOON, || {
            trial.cluster.log(self.server).contains(FULL)
        });
        trial.go_on();
        fs::remove_file(ballast).expect("make room");
    }

    fn room(&self) -> u64 {
        let room = statvfs(self.folder()).expect("ask for the room");
        room.blocks_available() * room.fragment_size()
    }
}

impl Trial {
    /// This server leads from now on.
    pub(super) fn lead(&mut self, server: usize) {
        let id = (server + 1).to_string();
        eventually("it leads", SOON, || {
            let leader = self.leader();
            if leader != server {
                // It is refused when somebody else leads by now, or when this one lacks too much: then once more.
                let words = ["cluster", "transfer", &id];
                let _done = chrysalis_with(self.cluster.server(leader), &words, b"");
            }
            leader == server
        });
    }

    /// Writes so many bytes through whoever takes them.
    fn write_much(&self, bytes: u64) {
        let mut client = self.cluster.client(0, TIMEOUT_MS);
        client.create("/large", b"", 0);
        let set = Body::new().string("/large").bytes(&[7; PIECE]).int(-1);
        let pieces = bytes.div_ceil(u64::try_from(PIECE).expect("small"));
        for _ in 0..pieces {
            assert_eq!(client.answer(op::SET_DATA, &set).error, 0);
        }
    }

    /// A bit turns over in what a server has, while it does not run. It serves nothing of that, and gets its znodes from the others,
    /// without a hand. The messages of its broker are nowhere else: if they may be lost with it, its broker serves nobody.
    pub(super) fn damage(&mut self, server: usize, what: Damage) {
        let data = self.cluster.server(server).folder().join("data");
        match what {
            Damage::Journal => {
                self.mark_journals();
                self.cluster.kill(server);
                flip(&files(&data.join("journal"), ".journal"), MARK);
            }
            Damage::Snapshot => {
                let folder = data.join("coordinator");
                eventually("it has a snapshot", SOON, || !snapshots(&folder).is_empty());
                self.cluster.kill(server);
                for file in snapshots(&folder) {
                    flip(&[file], NAME.as_bytes());
                }
            }
        }
        self.go_on();
        let before = self.cluster.said(VOTES);
        self.cluster.resume(server);
        self.wait_until_it_votes_again(before);
        let is_held = self.cluster.log(server).contains(HELD);
        assert_eq!(is_held, what == Damage::Journal, "its broker");
    }

    /// Writes what is to be damaged, and more behind it: what is at a journal's end may be torn.
    fn mark_journals(&self) {
        let mut client = self.cluster.client(0, TIMEOUT_MS);
        client.create("/marked", MARK, 0);
        self.clients.go_round();
    }

    /// A server loses all that it has, and gets it from the others.
    pub(super) fn wipe(&mut self, server: usize) {
        let before = self.cluster.said(VOTES);
        self.cluster.kill(server);
        self.cluster.wipe(server);
        self.go_on();
        self.cluster.resume(server);
        self.wait_until_it_votes_again(before);
    }

    /// It comes back when the others have forgotten what it lacks.
    pub(super) fn is_away_for_long(&mut self, server: usize) {
        const GOT: &str = "the state is another server's snapshot now";
        let folder =
            |trial: &Trial, i: usize| trial.cluster.server(i).folder().join("data/coordinator");
        self.cluster.kill(server);
        let got = self.cluster.said(GOT);
        let leader = self.leader();
        let before = snapshots(&folder(self, leader));
        self.write_much(JOURNAL_FILE);
        eventually("there are other snapshots", SOON, || {
            let now = snapshots(&folder(self, leader));
            !now.is_empty() && now.iter().all(|it| !before.contains(it))
        });
        self.cluster.resume(server);
        eventually("it got a snapshot", SOON, || self.cluster.said(GOT) > got);
    }
}

fn snapshots(folder: &Path) -> Vec<PathBuf> {
    files(folder, ".snapshot")
}
