//! Nothing acknowledged is lost: the real binary under load, while the power goes on a file system that forgets what was not
//! synced, or the process is killed on file systems of every kind. `kill -9` alone keeps the page cache and proves nothing
//! about syncs; the cuts do.

mod file_system;
mod image;
mod load;

use crate::bad_input::Dice;
use crate::crash::Replay;
use crate::deployment::{Deployment, Topic};
use crate::lab;
use crate::lab::mount::Mount;
use crate::process::{eventually, is_listening};
use crate::server::{Server, set_key};
use file_system::Disk;
use image::Image;
use load::{Ledger, Load};
use nix::sys::signal::Signal;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

const TOPICS: &[Topic] = &[("load", 2)];

fn seed() -> u64 {
    std::env::var("SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(1)
}

/// Small files, so that a short run sees the journal's circle close, segments roll and snapshots being made.
fn configure(config: &mut String, backend: &str) {
    set_key(config, "disk", "backend", &format!("\"{backend}\""));
    set_key(config, "disk", "reserve_bytes", "0");
    set_key(config, "journal", "file_bytes", "4194304");
    set_key(config, "journal", "files_max", "6");
    set_key(config, "broker", "segment_bytes", "200000");
    set_key(config, "coordinator", "snapshot_every_entries", "1000");
}

fn the_power_goes(test: &'static str, backend: &str, rounds: u64) {
    if !lab::may_mount_fuse(test) {
        return;
    }
    let _alone = lab::heavy();
    let replay = Replay { test, seed: seed() };
    let mut dice = Dice::from(replay.seed);
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
    for round in 0..rounds {
        // Some cuts fall into the start, most into the work.
        let early = dice.roll(4) == 0;
        let operations = if early { 1 + dice.roll(60) } else { u64::MAX };
        let disk = Disk::mount(image, &point, operations, Dice::from(dice.roll(1 << 30)));
        let mut process = server.spawn(&mut server.command());
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
            "round {round}: it did not start:\n{}",
            process.log_tail()
        );
        if !early {
            ledger.verify(coordinator, broker);
            disk.arm(1 + dice.roll(3_000));
        }
        let before = ledger.acknowledged();
        let load = Load::start(ledger, coordinator, broker, round, dice.roll(1 << 30));
        eventually("the power goes", Duration::from_secs(60), || {
            disk.is_dark() || load.acknowledged() > before + 4_000
        });
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
    lab::note(&format!(
        "{test}: {rounds} power cuts, {} acknowledged writes",
        ledger.acknowledged()
    ));
    assert!(
        ledger.acknowledged() > 100,
        "the cuts came too early to prove anything"
    );
    server.stop();
    drop(disk);
}

#[test]
fn what_was_acknowledged_survives_power_cuts_with_io_uring() {
    let rounds = if lab::suite() == lab::Suite::Full {
        100
    } else {
        8
    };
    the_power_goes(
        "what_was_acknowledged_survives_power_cuts_with_io_uring",
        "ring",
        rounds,
    );
}

#[test]
fn what_was_acknowledged_survives_power_cuts_with_threads() {
    let rounds = if lab::suite() == lab::Suite::Full {
        100
    } else {
        8
    };
    the_power_goes(
        "what_was_acknowledged_survives_power_cuts_with_threads",
        "threads",
        rounds,
    );
}

fn killed_again_and_again(test: &'static str, folder: &Path, backend: &str, rounds: u64) {
    let replay = Replay { test, seed: seed() };
    let mut dice = Dice::from(replay.seed);
    let mut server = Server::prepare(&folder.join("server1"), TOPICS, |config| {
        configure(config, backend)
    });
    let mut ledger = Ledger::default();
    for round in 0..rounds {
        server.resume();
        ledger.verify(server.coordinator(), server.broker());
        let enough = ledger.acknowledged() + usize::try_from(dice.roll(2_000)).expect("small");
        let load = Load::start(
            ledger,
            server.coordinator(),
            server.broker(),
            round,
            dice.roll(1 << 30),
        );
        eventually("some work is done", Duration::from_secs(60), || {
            load.acknowledged() >= enough
        });
        server.kill();
        ledger = load.finish();
    }
    server.resume();
    ledger.verify(server.coordinator(), server.broker());
    lab::note(&format!(
        "{test}: {rounds} kills, {} acknowledged writes",
        ledger.acknowledged()
    ));
    server.stop();
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let _alone = lab::heavy();
    let home = TempDir::new().expect("make a folder");
    killed_again_and_again(
        "what_was_acknowledged_survives_kill_9",
        home.path(),
        "auto",
        5,
    );
}

#[test]
fn what_was_acknowledged_survives_kill_9_on_ext4_xfs_and_btrfs() {
    const TEST: &str = "what_was_acknowledged_survives_kill_9_on_ext4_xfs_and_btrfs";
    if !lab::full(TEST) {
        return;
    }
    let _alone = lab::heavy();
    for kind in ["ext4", "xfs", "btrfs"] {
        for backend in ["ring", "threads"] {
            let Some(mount) = Mount::image(TEST, kind, 1 << 30) else {
                break;
            };
            killed_again_and_again(TEST, mount.path(), backend, 15);
        }
    }
}
