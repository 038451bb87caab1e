//! What the program says to people.

use super::Findings;
use super::source::{self, File, Keep};

/// Things that are counted in messages. Bytes are not among them: most are limits, and none of those is one.
const COUNTED: &[&str] = &[
    "batches",
    "clients",
    "connections",
    "consumers",
    "entries",
    "files",
    "gets",
    "groups",
    "lines",
    "messages",
    "milliseconds",
    "mistakes",
    "partitions",
    "places",
    "puts",
    "records",
    "requests",
    "seconds",
    "servers",
    "sessions",
    "threads",
    "times",
    "topics",
    "turns",
    "watches",
    "znodes",
];

/// Where one of them is told in another way, or cannot be alone, or the words are ZooKeeper's.
const KNOWN: &[(&str, &str)] = &[
    ("src/config/legacy/zoo_cfg.rs", "{} servers"),
    ("src/operator/cli/mod.rs", "{count} mistakes"),
    ("src/operator/status.rs", "{name} gets"),
    ("src/server/control.rs", "{count} partitions"),
    (
        "src/wire/zookeeper/four_letter/texts.rs",
        "{connections} connections",
    ),
];

/// A number and its noun go through `units::counted`, which knows that there is one of some things.
pub(super) fn one_thing_is_not_several(files: &[File]) -> Findings {
    let mut findings = Findings::default();
    let told = |f: &&File| f.is_rust() && !f.is_test() && f.path.starts_with("src/");
    for file in files.iter().filter(told) {
        let code = source::blank(&file.text, Keep::CodeAndStrings);
        let end = code.find("#[cfg(test)]\nmod ").unwrap_or(code.len());
        for (at, _) in code[..end].match_indices("} ") {
            let rest = &code[at + 2..end];
            let length = rest.bytes().take_while(|&b| source::is_word(b)).count();
            let noun = &rest[..length];
            if !COUNTED.contains(&noun) {
                continue;
            }
            let open = code[..at].rfind('{').unwrap_or(at);
            let told = &code[open..at + 2 + length];
            // A rate is no count, and neither is a constant.
            let is_rate = told.contains(':') || rest[length..].starts_with("/s");
            let is_constant = told[1..].starts_with(|c: char| c.is_ascii_uppercase());
            if is_rate || is_constant {
                continue;
            }
            if !KNOWN.contains(&(file.path.as_str(), told)) {
                let line = source::line_of(&code, at);
                findings.add(
                    &file.path,
                    line,
                    format!("`{told}`: say counted(…, \"{noun}\")"),
                );
            }
        }
    }
    findings
}
