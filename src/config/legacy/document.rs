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
         Both listen on every address, as the originals do.\n\n\
         What only this server has is set in `server.ini` in a section of its own, which the original ignores:\n\n\
         ```ini\n[chrysalis]\ncoordinator.enabled = true\nweb.listen = 0.0.0.0\n```\n",
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
        "\nOther keys of `zoo.cfg` have no effect and get a line in the log; more than one `server.N` is a mistake, because an\n\
         ensemble cannot be taken over by one server.\n\n\
         `stats config` answers the bytes of `server.ini`, and where there is a `server.toml` a `server.ini` that says the same;\n\
         the checksum that the broker registers is that of these bytes.\n",
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
            Becomes::Nothing(why) => format!("nothing: {why}"),
        };
        let _ = writeln!(text, "| `{name}` | {becomes} |");
    }
}
