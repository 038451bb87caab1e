//! The tests of three crates: zookeeper 0.8, zookeeper-client 0.11 and tokio-zookeeper 0.4.

use super::verdicts::{LeftOut, Verdicts};
use super::{Suite, launchers, wanted};
use crate::harness::lab::{self, crates};
use crate::harness::process::run_to_end;
use std::path::Path;
use std::time::Duration;

/// Of the crate zookeeper.
const NEWER: &[LeftOut] = &[
    (
        "test_persistent_recursive_watch::*",
        "persistent watches are of 3.6",
    ),
    (
        "test_leader::*",
        "its leader's latch makes a container, which is of 3.5",
    ),
];

/// What is wanted of a 3.9: the stat that `create` returns since 3.5, multis with such a create in them, containers, TTLs,
/// persistent watches, the removal of watches. With ZooKeeper 3.4.14 itself the same tests fail.
const NEWER_STILL: &str = "is of 3.5 or later, and fails with ZooKeeper 3.4.14, too";

/// Of zookeeper-client.
const NEWER_THAN_3_4: &[LeftOut] = &[
    ("test_auth", NEWER_STILL),
    ("test_auth_failed", NEWER_STILL),
    ("test_check_writer", NEWER_STILL),
    ("test_chroot", NEWER_STILL),
    ("test_config_watch", NEWER_STILL),
    ("test_create_container", NEWER_STILL),
    ("test_create_sequential", NEWER_STILL),
    ("test_create_ttl", NEWER_STILL),
    ("test_data_node", NEWER_STILL),
    ("test_delete", NEWER_STILL),
    ("test_descendants_number", NEWER_STILL),
    ("test_ephemerals", NEWER_STILL),
    ("test_example", NEWER_STILL),
    (
        "test_fail_watch_with_concurrent_passive_remove",
        NEWER_STILL,
    ),
    ("test_fail_watch_with_multiple_unwatching", NEWER_STILL),
    ("test_lock_curator::case_1_chroot_x", NEWER_STILL),
    ("test_lock_curator::case_2_chroot_x_y", NEWER_STILL),
    ("test_lock_curator_filter", NEWER_STILL),
    ("test_lock_custom::case_1_chroot_x", NEWER_STILL),
    ("test_lock_custom::case_2_chroot_x_y", NEWER_STILL),
    ("test_lock_shared::case_1_chroot_x", NEWER_STILL),
    ("test_lock_shared::case_2_chroot_x_y", NEWER_STILL),
    ("test_multi::case_1_no_chroot", NEWER_STILL),
    ("test_multi::case_2_chroot_x", NEWER_STILL),
    ("test_multi::case_3_chroot_x_y", NEWER_STILL),
    ("test_multi_async_order", NEWER_STILL),
    ("test_multi_watching", NEWER_STILL),
    ("test_oneshot_watcher", NEWER_STILL),
    ("test_persistent_watcher", NEWER_STILL),
    ("test_persistent_watcher_passive_remove", NEWER_STILL),
    ("test_request_order", NEWER_STILL),
    ("test_session_event", NEWER_STILL),
    ("test_watcher_coexist_on_same_path", NEWER_STILL),
    ("test_watcher_remove_after_client_closed", NEWER_STILL),
    ("test_watcher_remove_no_watcher", NEWER_STILL),
    ("test_watcher_remove_session_expired", NEWER_STILL),
    (
        "test_readonly_plaintext",
        "a session of the ensemble is let in while nobody leads, as with 3.4; it waits until that is refused, as with 3.9",
    ),
    ("test_update_ensemble", "reconfiguration is of 3.5"),
];

/// Longer than any of them takes.
const LIMIT: Duration = Duration::from_secs(15 * 60);

fn run(
    suite: &Suite,
    program: &Path,
    passed_over: &[LeftOut],
    only: Option<&[String]>,
) -> Verdicts {
    let mut command = suite.command(program);
    command
        .env("ZKSERVER", launchers().join("zkServer.sh"))
        .args(["--test-threads=1", "--color=never", "--exact"])
        .args(passed_over.iter().flat_map(|(name, _)| ["--skip", name]))
        .args(only.unwrap_or_default());
    let outcome = run_to_end(&mut command, "", LIMIT);
    Verdicts::of_rust(outcome.stdout + &outcome.stderr)
}

#[test]
fn the_tests_of_the_crate_zookeeper_pass() {
    if !wanted() {
        return;
    }
    let _alone = lab::heavy();
    let program = crates::zookeeper_tests();
    Suite::new().judge(NEWER, 7, |suite, only| run(suite, &program, &[], only));
}

#[test]
fn the_tests_of_zookeeper_client_pass() {
    if !wanted() {
        return;
    }
    let _alone = lab::heavy();
    let program = crates::zookeeper_client_tests();
    // Many of those that are left out wait for long before they fail.
    Suite::new().judge(NEWER_THAN_3_4, 13, |suite, only| {
        run(suite, &program, NEWER_THAN_3_4, only)
    });
}

/// Against one server they run in `tokio_zookeeper.rs`. They leave znodes behind on which they would fail the next time.
#[test]
fn the_tests_of_tokio_zookeeper_pass_with_three_servers() {
    if !wanted() {
        return;
    }
    let _alone = lab::heavy();
    let program = crates::tokio_zookeeper_tests();
    let suite = Suite::new();
    let _servers = suite.serve(2181);
    suite.judge(&[], 7, |suite, only| run(suite, &program, &[], only));
}
