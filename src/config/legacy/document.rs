//! The part of `docs/configuration.md` on the originals' files, made from the tables of their keys.

use std::fmt::Write as _;

use super::{Becomes, Row, server_ini, zoo_cfg};
use crate::config::key::Section;

/// What becomes of the originals' keys, for operators.
pub fn document() -> String {
    let mut text = String::from(
        "\n## The originals' files\n\n\
         Where there is no `conf/server.toml`, `conf/server.ini` and `conf/zoo.cfg` are read as they are. With a `server.ini`\n\
         the server is a broker, with a `zoo.cfg` a coordinator, with both it is both; a broker without a coordinator of its own\n\
         uses the ZooKeeper that `zk.zkConnect` names. As with the originals, numbers and booleans of `server.ini` may be\n\
         expressions (`1024*1024`), a blank value is the default, unknown sections are ignored and unknown keys are mistakes.\n\
         Both listen on every address, as the originals do, and a start and `config check` note it.\n\n\
         As with the originals, a `server.ini` must have `brokerId`, `numPartitions`, `unflushThreshold`, `unflushInterval`,\n\
         `maxSegmentSize` and `maxTransferSize` in `[system]`, `zk.zkConnect` in `[zookeeper]`, and at least one `[topic=NAME]`.\n\
         A `zoo.cfg` must have `clientPort`.\n\n\
         What only this server has is set in `server.ini` in a section of its own, which the original ignores:\n\n\
         ```ini\n[chrysalis]\ncoordinator.enabled = true\nweb.listen = 0.0.0.0\n```\n\n\
         In `zoo.cfg` it has a prefix: `chrysalis.web.listen = 0.0.0.0`.\n",
    );
    push_table(&mut text, "`[system]` of server.ini", server_ini::SYSTEM);
    push_table(
        &mut text,
        "`[zookeeper]` of server.ini",
        server_ini::ZOOKEEPER,
    );
    push_table(&mut text, "`[topic=NAME]` of server.ini", server_ini::TOPIC);
    push_table(&mut text, "zoo.cfg", zoo_cfg::ROWS);
    text.push_str(
        "\nOther keys of `zoo.cfg` have no effect and get a line in the log. If a key stands twice, the last one counts. A key that\n\
         asks for more security than this version has stops the start, because clients would get in that must not.\n\n\
         Several `server.N=HOST:PORT:ELECTION PORT`, in `zoo.cfg` or in the file that `dynamicConfigFile` names, become\n\
         `cluster.servers`. Which of them this server is, the file `myid` says, in `dataDir` or in `conf/`; without it there is no start.\n\
         The election port is not needed. Behind it may stand `:participant` or `:observer`; an observer has no vote. Several\n\
         addresses of one server (`|`) stop the start. The servers begin\n\
         with an empty tree, and servers of ZooKeeper cannot be among them. If the file of `dynamicConfigFile` is not there, the server\n\
         looks for it in `conf/`. The `server.N` of this server, or one alone, may name the clients' port\n\
         (`server.1=host:2888:3888;2181`). `clientPortAddress` may be a name in `/etc/hosts`.\n\n\
         `stats config` answers the bytes of `server.ini`; with a `server.toml`, it answers a `server.ini` that says the same. The broker\n\
         registers the checksum of these bytes.\n",
    );
    text
}

fn push_table(text: &mut String, title: &str, rows: &[Row]) {
    let _ = write!(text, "\n### {title}\n\n| key | becomes |\n| --- | --- |\n");
    for row in rows {
        let name = match row.name.strip_suffix('.') {
            Some(_) => format!("{}*", row.name),
            None => row.name.to_owned(),
        };
        let becomes = match row.becomes {
            Becomes::Key(key) if key.section() == Section::Topics => {
                format!("`topics.NAME.{}`", key.name())
            }
            Becomes::Key(key) => format!("`{}.{}`", key.section(), key.name()),
            Becomes::Nearest(key) => {
                format!(
                    "`{}.{}`, or the nearest value it takes",
                    key.section(),
                    key.name()
                )
            }
            Becomes::Nothing(why) => format!("nothing: {why}"),
            Becomes::Refused { why, .. } => format!("a start that is refused: {why}"),
            Becomes::RefusedWithOthers { why, .. } => {
                format!("among several servers a start that is refused: {why}")
            }
        };
        let _ = writeln!(text, "| `{name}` | {becomes} |");
    }
}
