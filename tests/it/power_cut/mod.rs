//! Nothing acknowledged is lost: the real binary under load, while the power goes on a file system that forgets what was not
//! synced, or the process is killed on file systems of every kind. `kill -9` alone keeps the page cache and proves nothing
//! about syncs; the cuts do.

mod file_system;
mod image;
mod load;

use crate::harness::deployment::{Deployment, Topic};
use crate::harness::dice::Dice;
use crate::harness::lab;
use crate::harness::lab::mount::{self, Mount};
use crate::harness::process::{Process, eventually};
use crate::harness::server::{Server, set_key, set_text};
use crate::harness::socket::is_listening;
use chrysalis::disk::{
    self, AlignedBuffer, Backend, Disk as _, Files, Lane, Mode, Operation, Owner, Token,
};
use file_system::Disk;
use image::Image;
use load::{Ledger, Load};
use nix::sys::signal::Signal;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

const TOPICS: &[Topic] = &[("load", 2)];

/// Small files, so that a short run sees the journal's circle close, segments roll and snapshots being made.
fn configure(config: &mut String, backend: &str) {
    set_text(config, "disk", "backend", backend);
    set_key(config, "disk", "reserve_bytes", "0");
    set_key(config, "journal", "file_bytes", "4194304");
    set_key(config, "journal", "files_max", "6");
    set_key(config, "broker", "segment_bytes", "200000");
    set_key(config, "coordinator", "snapshot_every_entries", "1000");
}

fn small(number: u64) -> usize {
    usize::try_from(number).expect("small")
}

/// Starts the server; true when it serves, false when the power went before that.
fn serves(server: &Server, process: &mut Process, disk: &Disk) -> bool {
    let (coordinator, broker) = (server.coordinator(), server.broker());
    let mut served = false;
    eventually(
        "it serves, or the power is gone",
        Duration::from_secs(30),
        || {
            served = is_listening(coordinator) && is_listening(broker);
            served || disk.is_dark() || !process.is_running()
        },
    );
    assert!(
        served || disk.is_dark(),
        "it did not start:\n{}",
        process.log_tail()
    );
    served
}

/// Works until so much more is acknowledged, or until `end`.
fn work(
    ledger: Ledger,
    server: &Server,
    (round, seed): (u64, u64),
    enough: usize,
    mut end: impl FnMut() -> bool,
) -> Load {
    let enough = ledger.acknowledged() + enough;
    let load = Load::start(ledger, server.coordinator(), server.broker(), round, seed);
    eventually("some work is done", Duration::from_secs(60), || {
        end() || load.acknowledged() >= enough
    });
    load
}

/// Fails if what ended the server came too early to prove anything.
fn assert_acknowledged(ledger: &Ledger) {
    let count = ledger.acknowledged();
    assert!(count > 100, "{count} acknowledged writes");
}

/// The power goes in the middle of a write or a sync, on a file system that forgets what was not synced.
fn the_power_goes(backend: &str, rounds: u64) {
    if !lab::may_mount_fuse() || !mount::apart() {
        return;
    }
    let _alone = lab::heavy();
    let (_replay, mut dice) = Dice::seeded();
    let home = TempDir::new().expect("make a folder");
    let point = home.path().join("disk");
    fs::create_dir(&point).expect("make the mount point");

    // The folder is made and everything about it synced, as an installer leaves it.
    let disk = Disk::mount(Image::new(), &point, u64::MAX, Dice::from(0));
    let mut server = Server::prepare(&point.join("server1"), TOPICS, |config| {
        configure(config, backend)
    });
    server.log_to(&home.path().join("server.log"));
    disk.sync_all();
    let (mut image, _) = disk.after_the_cut();

    let mut ledger = Ledger::default();
    let mut kills = 0;
    for round in 0..rounds {
        // Every fourth cut falls into a start, the others into the work.
        let early = round % 4 == 2;
        let operations = if early { 1 + dice.roll(60) } else { u64::MAX };
        let disk = Disk::mount(image, &point, operations, Dice::from(dice.roll(1 << 30)));
        let mut process = server.spawn(&mut server.command());
        let mut served = serves(&server, &mut process, &disk);
        let mut armed = early;
        if served && !early && round % 3 == 0 {
            // First the process alone is killed: what the next one reads may be in the page cache only.
            ledger.verify(server.coordinator(), server.broker());
            let start = (round, dice.roll(1 << 30));
            let load = work(ledger, &server, start, small(dice.roll(500)), || false);
            process.kill();
            ledger = load.finish();
            kills += 1;
            // Then the power goes soon after the next start began.
            if dice.roll(2) == 0 {
                disk.arm(1 + dice.roll(100));
                armed = true;
            }
            process = server.spawn(&mut server.command());
            served = serves(&server, &mut process, &disk);
        }
        if served && !armed {
            ledger.verify(server.coordinator(), server.broker());
            disk.arm(1 + dice.roll(3_000));
        }
        let start = (rounds + round, dice.roll(1 << 30));
        let load = work(ledger, &server, start, 4_000, || disk.is_dark());
        disk.cut();
        process.signal(Signal::SIGKILL);
        disk.let_go();
        process.kill();
        ledger = load.finish();
        (image, _) = disk.after_the_cut();
    }
    // The last word: everything is there, after an ordinary start.
    let disk = Disk::mount(image, &point, u64::MAX, Dice::from(0));
    server.resume();
    ledger.verify(server.coordinator(), server.broker());
    assert!(kills > 0, "no kill before a cut");
    assert_acknowledged(&ledger);
    server.stop();
    drop(disk);
}

#[test]
fn what_was_acknowledged_survives_power_cuts_with_io_uring() {
    the_power_goes("ring", lab::rounds(8, 100));
}

#[test]
fn what_was_acknowledged_survives_power_cuts_with_threads() {
    the_power_goes("threads", lab::rounds(8, 100));
}

fn killed_again_and_again(folder: &Path, backend: &str, rounds: u64) {
    let (_replay, mut dice) = Dice::seeded();
    let mut server = Server::prepare(&folder.join("server1"), TOPICS, |config| {
        configure(config, backend)
    });
    let mut ledger = Ledger::default();
    for round in 0..rounds {
        server.resume();
        ledger.verify(server.coordinator(), server.broker());
        let start = (round, dice.roll(1 << 30));
        let load = work(ledger, &server, start, small(dice.roll(2_000)), || false);
        server.kill();
        ledger = load.finish();
    }
    server.resume();
    ledger.verify(server.coordinator(), server.broker());
    assert_acknowledged(&ledger);
    server.stop();
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let _alone = lab::heavy();
    let home = TempDir::new().expect("make a folder");
    killed_again_and_again(home.path(), "auto", lab::rounds(5, 50));
}

fn killed_on(kind: &'static str) {
    if !lab::full() {
        return;
    }
    let _alone = lab::heavy();
    for backend in ["ring", "threads"] {
        let Some(mount) = Mount::image(kind, 1 << 30) else {
            return;
        };
        killed_again_and_again(mount.path(), backend, 15);
    }
}

#[test]
fn what_was_acknowledged_survives_kill_9_on_ext4() {
    killed_on("ext4");
}

#[test]
fn what_was_acknowledged_survives_kill_9_on_xfs() {
    killed_on("xfs");
}

#[test]
fn what_was_acknowledged_survives_kill_9_on_btrfs() {
    killed_on("btrfs");
}

/// The kernel's own file system is shut down under the server, and recovers from its log: what was in the page cache is
/// gone. The server finds its journal failing, and ends by itself.
fn shut_down_on(kind: &'static str) {
    if !lab::full() {
        return;
    }
    let _alone = lab::heavy();
    let (_replay, mut dice) = Dice::seeded();
    for backend in ["ring", "threads"] {
        let Some(mount) = Mount::image(kind, 1 << 30) else {
            return;
        };
        let mut server = Server::prepare(&mount.path().join("server1"), TOPICS, |config| {
            configure(config, backend)
        });
        let logs = TempDir::new().expect("make a folder");
        server.log_to(&logs.path().join("server.log"));
        let mut ledger = Ledger::default();
        for round in 0..10 {
            server.resume();
            ledger.verify(server.coordinator(), server.broker());
            let start = (round, dice.roll(1 << 30));
            let load = work(ledger, &server, start, small(dice.roll(3_000)), || false);
            mount.shut_down();
            let status = server.process().wait(Duration::from_secs(30));
            assert!(!status.success(), "a server without a disk ended well");
            server.kill();
            ledger = load.finish();
            mount.mount_again();
        }
        server.resume();
        ledger.verify(server.coordinator(), server.broker());
        assert_acknowledged(&ledger);
        server.stop();
    }
}

#[test]
fn what_was_acknowledged_survives_a_shut_down_ext4() {
    shut_down_on("ext4");
}

#[test]
fn what_was_acknowledged_survives_a_shut_down_xfs() {
    shut_down_on("xfs");
}

/// What is reserved for a journal's file can be written, however full the disk is; also where the file system would rather
/// write a copy elsewhere.
fn full_on(kind: &'static str) {
    const FILE_BYTES: u64 = 4 << 20;
    if !lab::full() {
        return;
    }
    for backend in [Backend::Ring, Backend::Threads] {
        let Some(mount) = Mount::image(kind, 512 << 20) else {
            return;
        };
        let options = disk::Options {
            backend,
            ..disk::Options::default()
        };
        let mut files = Files::new(&options).expect("the disk");
        let file = files.reserve();
        let path = mount.path().join("00.journal");
        let length = FILE_BYTES;
        for operation in [
            Operation::Open {
                file,
                path,
                mode: Mode::Durable,
            },
            Operation::Preallocate { file, length },
            Operation::Fill {
                file,
                position: 0,
                length,
            },
        ] {
            files.run(operation).expect("there is room");
        }
        let ballast = fs::File::create(mount.path().join("ballast")).expect("make the ballast");
        for step in [1 << 20, 4096] {
            let block = vec![1; step];
            while (&ballast).write_all(&block).is_ok() {}
        }
        // Some file systems find out only now what it does not take.
        let _ = ballast.sync_all();
        for round in 0..2 {
            for number in 0..FILE_BYTES >> 16 {
                let mut buffer = AlignedBuffer::new(64 << 10);
                buffer.set_len(64 << 10);
                let position = number << 16;
                let write = Operation::Write {
                    file,
                    position,
                    buffer,
                };
                files.submit(Lane::Journal, Token::new(Owner::Journal, number), write);
                let mut completions = Vec::new();
                files.wait(&mut completions);
                for completion in completions {
                    let result = completion.result;
                    assert!(result.is_ok(), "round {round}, {position}: {result:?}");
                }
            }
        }
    }
}

#[test]
fn a_journal_file_can_be_written_on_a_full_ext4() {
    full_on("ext4");
}

#[test]
fn a_journal_file_can_be_written_on_a_full_xfs() {
    full_on("xfs");
}

#[test]
fn a_journal_file_can_be_written_on_a_full_btrfs() {
    full_on("btrfs");
}
