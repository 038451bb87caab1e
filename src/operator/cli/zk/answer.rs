//! Znodes as people and programs read them.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::text;
use crate::coordinator::Stat;

/// Bytes as they are, and a line feed.
pub(super) fn data_line(out: &mut dyn Write, data: &[u8]) -> io::Result<()> {
    out.write_all(data)?;
    out.write_all(b"\n")
}

pub(super) fn json_line(out: &mut dyn Write, value: &Value) -> io::Result<()> {
    writeln!(out, "{value}")
}

/// A stat by the names that zkCli.sh gives its fields.
pub(super) fn stat_lines(out: &mut dyn Write, stat: &Stat) -> io::Result<()> {
    writeln!(out, "cZxid = {}", stat.czxid)?;
    writeln!(out, "ctime = {}", time(stat.ctime))?;
    writeln!(out, "mZxid = {}", stat.mzxid)?;
    writeln!(out, "mtime = {}", time(stat.mtime))?;
    writeln!(out, "pZxid = {}", stat.pzxid)?;
    writeln!(out, "cversion = {}", stat.cversion)?;
    writeln!(out, "dataVersion = {}", stat.version)?;
    writeln!(out, "aclVersion = {}", stat.aversion)?;
    writeln!(out, "ephemeralOwner = 0x{:x}", stat.ephemeral_owner)?;
    writeln!(out, "dataLength = {}", stat.data_length)?;
    writeln!(out, "numChildren = {}", stat.children)
}

/// A stat as an object. Sessions and transactions are text: they do not fit into every JSON reader's
/// numbers.
pub(super) fn stat_object(stat: &Stat) -> Value {
    json!({
        "czxid": stat.czxid.to_string(),
        "ctime": time(stat.ctime),
        "mzxid": stat.mzxid.to_string(),
        "mtime": time(stat.mtime),
        "pzxid": stat.pzxid.to_string(),
        "cversion": stat.cversion,
        "version": stat.version,
        "aversion": stat.aversion,
        "ephemeral_owner": format!("0x{:x}", stat.ephemeral_owner),
        "data_length": stat.data_length,
        "children": stat.children,
    })
}

/// A znode's path and stat.
pub(super) fn stat(path: &[u8], stat: &Stat) -> Value {
    json!({ "path": text(path), "stat": stat_object(stat) })
}

/// A znode's path, data and stat. Data that is no text is given in base64, under another name.
pub(super) fn data(path: &[u8], data: Option<&[u8]>, stat: &Stat) -> Value {
    let mut object = self::stat(path, stat);
    match data.map(|data| (data, str::from_utf8(data))) {
        None => object["data"] = Value::Null,
        Some((_, Ok(text))) => object["data"] = text.into(),
        Some((data, Err(_))) => object["data_base64"] = STANDARD.encode(data).into(),
    }
    object
}

/// A time in UTC, or the number itself where no calendar has it.
fn time(millis: i64) -> String {
    match DateTime::<Utc>::from_timestamp_millis(millis) {
        Some(time) => time.to_rfc3339_opts(SecondsFormat::Millis, true),
        None => millis.to_string(),
    }
}
