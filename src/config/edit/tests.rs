//! Adding a topic to either file.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use tempfile::TempDir;

use super::*;

fn folder_with(file: &str, text: &str) -> (TempDir, ServerFolder) {
    let home = TempDir::new().expect("make a folder");
    let folder = ServerFolder::new(home.path());
    fs::create_dir(folder.conf()).expect("make conf");
    fs::write(folder.conf().join(file), text).expect("write the configuration");
    (home, folder)
}

const SERVER_INI: &str = "[system]\nbrokerId=1\nnumPartitions=1\nunflushThreshold=0\nunflushInterval=0\n\
    maxSegmentSize=4096\nmaxTransferSize=4096\ndataPath=/d\n[zookeeper]\nzk.zkConnect=zk:2181\n; \u{e4}\n[topic=a]";

#[test]
fn a_topic_is_added_and_everything_else_stays() {
    let before = "# ours, all of it\n[broker]\nport = 9000 # because\n[topics.a]";
    let (_home, folder) = folder_with("server.toml", before);
    let path = add_topic(&folder, "a.b", Some(3)).expect("it is added");
    assert_eq!(path, folder.server_toml());
    let after = fs::read_to_string(path).expect("it is there");
    assert_eq!(
        after,
        format!("{before}\n\n[topics.\"a.b\"]\nnum_partitions = 3\n")
    );

    add_topic(&folder, "c-*", None).expect("it is added");
    let config = load(&folder).expect("it is right");
    let names: Vec<String> = config
        .broker
        .expect("it is a broker")
        .topics
        .into_iter()
        .map(|it| it.name)
        .collect();
    assert_eq!(names, ["a", "a.b", "c-*"]);
}

#[test]
fn a_server_ini_is_added_to_in_its_own_words() {
    let (_home, folder) = folder_with("server.ini", SERVER_INI);
    add_topic(&folder, "orders", Some(4)).expect("it is added");
    let after = fs::read_to_string(folder.server_ini()).expect("it is there");
    assert_eq!(
        after,
        format!("{SERVER_INI}\n\n[topic=orders]\nnumPartitions=4\n")
    );
    let config = load(&folder).expect("it is right");
    assert_eq!(config.source.stats_config, after.as_bytes());
}

#[test]
fn a_topic_that_is_there_is_refused() {
    let (_home, folder) = folder_with("server.toml", "[topics.a]");
    assert!(matches!(
        add_topic(&folder, "a", None),
        Err(EditError::Exists(_))
    ));
}

#[test]
fn a_server_that_is_no_broker_has_no_topics() {
    let (_home, folder) = folder_with("server.toml", "[broker]\nenabled = false");
    assert!(matches!(
        add_topic(&folder, "a", None),
        Err(EditError::NoBroker)
    ));
}

#[test]
fn a_file_that_would_not_be_right_afterwards_is_left_as_it_is() {
    let before = "topics = { a = {} }\n";
    let (_home, folder) = folder_with("server.toml", before);
    assert!(matches!(
        add_topic(&folder, "b", None),
        Err(EditError::NotAppendable { .. })
    ));
    assert_eq!(
        fs::read_to_string(folder.server_toml()).expect("it is there"),
        before
    );
    let left: Vec<_> = fs::read_dir(folder.conf()).expect("list conf").collect();
    assert_eq!(left.len(), 1, "nothing of the attempt is left");
}

#[test]
fn mistakes_that_were_there_before_are_told_first() {
    let (_home, folder) = folder_with("server.toml", "[broker]\nport = 99999");
    assert!(matches!(
        add_topic(&folder, "a", None),
        Err(EditError::Config(Error::Mistakes(_)))
    ));
}

#[test]
fn the_new_file_has_the_permissions_of_the_old_one() {
    let (_home, folder) = folder_with("server.toml", "# ours\n");
    fs::set_permissions(folder.server_toml(), fs::Permissions::from_mode(0o640))
        .expect("set the mode");
    add_topic(&folder, "a", None).expect("it is added");
    let mode = fs::metadata(folder.server_toml())
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o640);
}

#[test]
fn a_topic_that_is_added_and_removed_leaves_no_trace() {
    for (file, text) in [
        (
            "server.toml",
            "[broker]\nport = 9000\n[topics.a]\nnum_partitions = 2\n# the end\n",
        ),
        ("server.ini", SERVER_INI),
    ] {
        let (_home, folder) = folder_with(file, text);
        let path = add_topic(&folder, "b", Some(3)).expect("it is added");
        let with_one = fs::read_to_string(&path).expect("it is there");
        add_topic(&folder, "c-*", None).expect("it is added");
        remove_topic(&folder, "c-*").expect("it is removed");
        assert_eq!(fs::read_to_string(&path).expect("it is there"), with_one);
        remove_topic(&folder, "b").expect("it is removed");
        let left = fs::read_to_string(&path).expect("it is there");
        assert_eq!(left.trim_end(), text.trim_end());
    }
}

#[test]
fn what_is_not_the_topics_own_stays() {
    let before = "\
        # mine\n[topics.'a.b'] # why\nnum_partitions = 2\n# of a\ndelete_policy = \"delete,1\"\n\n# of c\n[topics.c]\n\
        \n# What may stand here:\n#num_partitions = 1\n\n[topics.d]\n";
    let (_home, folder) = folder_with("server.toml", before);
    let path = remove_topic(&folder, "a.b").expect("it is removed");
    let text = || fs::read_to_string(&path).expect("it is there");
    let without_a = "\
        # mine\n#[topics.'a.b'] # why\n\n# of c\n[topics.c]\n\
        \n# What may stand here:\n#num_partitions = 1\n\n[topics.d]\n";
    assert_eq!(text(), without_a);
    remove_topic(&folder, "c").expect("it is removed");
    assert_eq!(text(), without_a.replace("[topics.c]", "#[topics.c]"));
    assert!(matches!(
        remove_topic(&folder, "c"),
        Err(EditError::Missing(_))
    ));
    remove_topic(&folder, "d").expect("it is removed");
    let config = load(&folder).expect("it is right");
    assert!(config.broker.expect("it is a broker").topics.is_empty());
}

#[test]
fn a_topic_that_has_no_section_of_its_own_is_taken_out_by_hand() {
    for before in [
        "topics = { a = {}, b = {} }\n",
        "[topics]\na = {}\nb = {}\n",
    ] {
        let (_home, folder) = folder_with("server.toml", before);
        assert!(matches!(
            remove_topic(&folder, "b"),
            Err(EditError::NotRemovable(_))
        ));
        let after = fs::read_to_string(folder.server_toml()).expect("it is there");
        assert_eq!(after, before);
    }
}

/// Each had the same name for its new file: some failed, and the file lost what others had added.
#[test]
fn many_may_change_a_configuration_at_a_time() {
    const COUNT: usize = 20;
    let (_home, folder) = folder_with("server.toml", "# ours\n[topics.a]\n");
    std::thread::scope(|scope| {
        let add = |number: usize| add_topic(&folder, &format!("t{number}"), None);
        let all: Vec<_> = (0..COUNT)
            .map(|number| scope.spawn(move || add(number)))
            .collect();
        for one in all {
            one.join().expect("it ends").expect("it is added");
        }
    });
    let config = load(&folder).expect("it is right");
    let topics = config.broker.expect("it is a broker").topics;
    assert_eq!(topics.len(), COUNT + 1);
    let left: Vec<_> = fs::read_dir(folder.conf()).expect("list conf").collect();
    assert_eq!(left.len(), 1, "nothing of the attempts is left");
}

#[test]
fn what_a_killed_command_left_is_removed_and_nothing_else() {
    let (_home, folder) = folder_with("server.toml", "# ours\n");
    let of_others = ["server.toml.mine.new", "server.toml.new", "zoo.cfg.1.new"];
    for name in of_others.iter().chain(&["server.toml.4711.new"]) {
        fs::write(folder.conf().join(name), "").expect("write it");
    }
    add_topic(&folder, "a", None).expect("it is added");
    let left = fs::read_dir(folder.conf()).expect("list conf");
    let left = left.map(|entry| entry.expect("it is there").file_name());
    let mut left: Vec<_> = left.filter(|name| name != "server.toml").collect();
    left.sort_unstable();
    assert_eq!(left, of_others);
}

#[test]
fn a_file_that_is_a_link_stays_one() {
    let (_home, folder) = folder_with("real.toml", "# ours\n");
    let real = folder.conf().join("real.toml");
    std::os::unix::fs::symlink(&real, folder.server_toml()).expect("link it");
    add_topic(&folder, "a", None).expect("it is added");
    assert!(folder.server_toml().is_symlink());
    let text = fs::read_to_string(real).expect("it is there");
    assert_eq!(text, "# ours\n\n[topics.a]\n");
}
