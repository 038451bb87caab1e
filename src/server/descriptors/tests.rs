use super::*;
use crate::config::ServerFolder;

fn config(text: &str) -> Config {
    let home = tempfile::tempdir().expect("a folder");
    let conf = home.path().join("conf");
    std::fs::create_dir(&conf).expect("make it");
    std::fs::write(conf.join("server.toml"), text).expect("write it");
    crate::config::load(&ServerFolder::new(home.path())).expect("a configuration")
}

#[test]
fn with_descriptors_enough_each_gets_what_is_configured() {
    let shares = Shares::of(&config("[server]\nid = 1\n"), Some(262_144)).expect("enough");
    let all = Shares {
        connections: 10_000,
        written: WRITTEN_MAX,
        sent: SENT_MAX,
    };
    assert_eq!(shares, all);
    assert_eq!(shares.note(&config("[server]\nid = 1\n")), None);
}

#[test]
fn together_the_shares_are_never_more_than_there_are() {
    let config = config("[server]\nid = 1\n");
    let kept = KEPT + usize::try_from(config.journal.files_max).expect("few");
    for limit in 0..5000_usize {
        let Ok(shares) = Shares::of(&config, u64::try_from(limit).ok()) else {
            assert!(limit < 512, "{limit} are enough");
            continue;
        };
        let taken = kept + 2 * shares.connections + shares.written + shares.sent;
        assert!(taken <= limit, "{limit}: {shares:?}");
        assert!(shares.connections > 0 && shares.written > 0 && shares.sent > 0);
    }
    let few = Shares::of(&config, Some(1024)).expect("enough");
    let note = few.note(&config).expect("fewer than configured");
    assert!(note.contains("LimitNOFILE"), "{note}");
}

#[test]
fn a_server_without_a_broker_gives_its_connections_to_the_coordinator() {
    let both = Shares::of(&config("[server]\nid = 1\n"), Some(1024)).expect("enough");
    let alone = config("[server]\nid = 1\n[broker]\nenabled = false\n");
    let alone = Shares::of(&alone, Some(1024)).expect("enough");
    assert_eq!(alone.connections / 2, both.connections);
}
