//! What each key of the configuration does, shown on a running server.
//!
//! [`SHOWN`] names for every key the test that would fail if the key did nothing. That each key reaches the
//! part it is for is another test's matter, `server::settings`.

mod broker;
mod coordinator;
mod process;

use chrysalis::config::document::full_name;
use chrysalis::config::explain;
use std::fs;
use std::path::{Path, PathBuf};

/// Keys, and where it shows what they do: a test, or a transcript of a core.
const SHOWN: &[(&[&str], &str)] = &[
    (
        &["server.id", "server.host_name"],
        "a_broker_registers_as_it_is_called",
    ),
    (
        &["cluster.servers", "cluster.listen"],
        "a_server_of_several_listens_for_the_others_where_it_is_told",
    ),
    (
        &["cluster.certificates"],
        "three_servers_with_certificates_elect_write_and_go_on_without_their_leader",
    ),
    (
        &["cluster.certificates_required"],
        "a_running_ensemble_is_given_certificates_one_server_after_the_other",
    ),
    (
        &["cluster.window_bytes"],
        "a_server_that_was_away_gets_from_the_journal_what_is_in_memory_no_more",
    ),
    (
        &[
            "server.listen",
            "coordinator.listen",
            "broker.listen",
            "web.listen",
        ],
        "each_port_listens_on_the_address_it_is_given",
    ),
    (
        &["coordinator.port", "broker.port", "web.port"],
        "a_start_that_fails_says_why_and_ends_as_the_server_did",
    ),
    (
        &["coordinator.enabled", "broker.enabled", "web.enabled"],
        "what_is_not_enabled_does_not_listen",
    ),
    (
        &[
            "coordinator.tick_time_ms",
            "coordinator.session_timeout_min_ms",
            "coordinator.session_timeout_max_ms",
        ],
        "a_session_timeout_lies_within_the_limits",
    ),
    (
        &["coordinator.connections_per_address_max"],
        "one_address_may_have_no_more_connections_than_configured",
    ),
    (
        &["coordinator.watch_bytes_per_connection_max"],
        "watches_of_one_connection_end_somewhere",
    ),
    (
        &["coordinator.watch_bytes_max"],
        "watches_of_many_connections_together_cost_those_that_have_most",
    ),
    (
        &[
            "coordinator.sessions_max",
            "coordinator.sessions_per_address_max",
        ],
        "sessions_that_are_left_behind_are_counted",
    ),
    (
        &["coordinator.tree_bytes_max"],
        "a_tree_that_is_full_takes_nothing_more_and_can_be_emptied",
    ),
    (
        &["coordinator.request_bytes_max"],
        "a_request_that_is_too_large_closes_its_connection",
    ),
    (
        &["coordinator.outstanding_requests_max"],
        "src/coordinator/scripts/outstanding_requests_are_bounded.txt",
    ),
    (
        &["coordinator.super_digest"],
        "src/coordinator/scripts/permissions_of_the_superuser.txt",
    ),
    (
        &["coordinator.skip_acl"],
        "no_acl_holds_where_none_is_checked",
    ),
    (
        &["coordinator.read_only"],
        "a_server_without_a_leader_serves_clients_that_only_read",
    ),
    (
        &["coordinator.four_letter_words"],
        "only_the_words_of_the_list_are_answered",
    ),
    (
        &["coordinator.snapshot_every_entries"],
        "a_snapshot_is_taken_after_so_many_entries",
    ),
    (
        &["broker.topics_folder", "topics.NAME.folder"],
        "messages_lie_in_the_folders_that_are_named",
    ),
    (
        &["broker.num_partitions", "topics.NAME.num_partitions"],
        "a_topic_has_the_partitions_it_is_given",
    ),
    (
        &[
            "broker.delete_policy",
            "broker.delete_when",
            "broker.segment_bytes",
        ],
        "an_old_segment_is_packed_and_the_newest_stays",
    ),
    (
        &["topics.NAME.delete_policy", "topics.NAME.delete_when"],
        "src/broker/scripts/retention.txt",
    ),
    (
        &[
            "broker.accept_publish",
            "broker.accept_subscribe",
            "topics.NAME.accept_publish",
            "topics.NAME.accept_subscribe",
        ],
        "clients_find_only_topics_that_accept_them",
    ),
    (
        &["broker.statistics", "topics.NAME.statistics"],
        "figures_are_kept_of_topics_that_want_them",
    ),
    (
        &["broker.message_bytes_max"],
        "a_message_that_is_too_large_is_refused_and_the_largest_is_not",
    ),
    (
        &["broker.transfer_bytes_max"],
        "a_get_returns_no_more_than_it_may",
    ),
    (
        &["broker.update_consumer_offsets"],
        "a_consumer_beyond_the_end_is_sent_back_where_that_is_wanted",
    ),
    (
        &["broker.hold_gets"],
        "one_setting_gives_the_originals_answer",
    ),
    (
        &["broker.hold_max_ms"],
        "a_hold_ends_after_its_time_and_the_client_asks_again_at_once",
    ),
    (
        &["broker.turns", "broker.turns_without_positions"],
        "a_consumer_with_one_thread_is_given_a_turn_where_that_is_wanted",
    ),
    (
        &["broker.held_gets_max"],
        "no_more_gets_are_held_than_may_be",
    ),
    (
        &["zookeeper.connect", "zookeeper.drain_ms"],
        "a_stop_serves_clients_until_they_have_left",
    ),
    (&["zookeeper.root"], "a_broker_registers_as_it_is_called"),
    (
        &["zookeeper.register"],
        "a_broker_that_is_not_to_register_is_not_found",
    ),
    (
        &["zookeeper.session_timeout_ms"],
        "the_registration_has_the_timeout_it_is_given",
    ),
    (
        &["network.connections_max"],
        "each_port_has_no_more_connections_than_it_may",
    ),
    (
        &[
            "network.connection_bytes_max",
            "network.all_connections_bytes_max",
        ],
        "a_hundred_that_ask_for_much_and_read_nothing_disturb_nobody",
    ),
    (
        &["journal.file_bytes", "journal.files_max"],
        "the_journal_takes_no_more_room_than_it_may",
    ),
    (&["disk.backend"], "the_disk_is_written_as_it_is_told"),
    (
        &["disk.reserve_bytes"],
        "the_reserve_is_as_large_as_it_is_told_and_goes_when_it_is_not_wanted",
    ),
    (
        &["disk.refuse_below_bytes"],
        "a_full_tmpfs_stops_puts_and_nothing_else",
    ),
    (&["log.level"], "lines_below_the_level_are_not_written"),
    (
        &["log.format", "log.file"],
        "lines_may_be_json_in_a_file_of_their_own",
    ),
];

#[test]
fn what_every_key_does_is_shown_by_a_test() {
    let shown: Vec<&str> = SHOWN.iter().flat_map(|(keys, _)| *keys).copied().collect();
    for key in explain::ALL {
        let name = full_name(*key);
        let times = shown.iter().filter(|shown| **shown == name).count();
        assert_eq!(times, 1, "{name} must stand in SHOWN, once");
    }
    assert_eq!(shown.len(), explain::ALL.len(), "a key that is no more");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tests = texts(&root.join("tests/it"));
    for (keys, test) in SHOWN {
        let is_there = match test.starts_with("src/") {
            true => root.join(test).exists(),
            false => tests.contains(&format!("fn {test}(")),
        };
        assert!(is_there, "{keys:?}: there is no {test}");
    }
}

/// All Rust sources below a folder.
fn texts(folder: &Path) -> String {
    let mut folders = vec![PathBuf::from(folder)];
    let mut text = String::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("list a folder") {
            let path = entry.expect("list a folder").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text.push_str(&fs::read_to_string(&path).expect("read a source"));
            }
        }
    }
    text
}
