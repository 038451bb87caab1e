//! Who may know whom: the layer table, and what a core must not know of the world.

use super::Findings;
use super::source::{self, File, Keep};

/// A module and the modules it may name, bottom up. What is not in a row is absent by design: a core
/// knows no other core (but `broker` the files' rules), nothing below `node` knows the whole, and nothing but
/// `operator` knows `server`.
const LAYERS: &[(&str, &[&str])] = &[
    ("units", &[]),
    ("cursor", &[]),
    // Cores.
    ("segments", &["units", "cursor"]),
    ("broker", &["units", "cursor", "segments"]),
    ("coordinator", &["units", "cursor"]),
    ("consensus", &["units"]),
    // Drives the disk through its boundary (submit, complete), of which the simulated disk is one.
    ("journal", &["units", "cursor", "consensus", "disk"]),
    // Edges.
    (
        "wire",
        &[
            "units",
            "cursor",
            "coordinator",
            "broker",
            "segments",
            "consensus",
        ],
    ),
    ("config", &["units"]),
    ("report", &["units"]),
    // Shells.
    ("disk", &["units", "report"]),
    (
        "net",
        &[
            "units",
            "wire",
            "coordinator",
            "broker",
            "segments",
            "consensus",
            "disk",
            "report",
        ],
    ),
    ("registry", &["units", "net", "report"]),
    (
        "client",
        &[
            "units",
            "cursor",
            "wire",
            "broker",
            "coordinator",
            "segments",
            "net",
        ],
    ),
    // What servers of a cluster show each other: files in, configurations of TLS out.
    ("authority", &["units"]),
    // The composition, and what surrounds it.
    (
        "node",
        &[
            "units",
            "coordinator",
            "broker",
            "segments",
            "consensus",
            "journal",
            "wire",
            "disk",
            "net",
            "registry",
            "client",
            "report",
            "appliance",
        ],
    ),
    ("server", &["*"]),
    ("appliance", &["units", "config", "report", "disk"]),
    ("host", &["config", "report", "appliance"]),
    ("operator", &["*"]),
    ("main", &["*"]),
    ("lib", &["*"]),
];

/// The pure part of the program: its cores, the codecs and units they speak in, and what composes them.
const PURE: &[&str] = &[
    "units",
    "segments",
    "broker",
    "coordinator",
    "consensus",
    "journal",
    "wire",
    "node",
];

/// What a core must not name, and what to use instead.
const WORLD: &[(&str, &str)] = &[
    ("std::fs", "return an effect for the disk"),
    ("TcpStream", "the world speaks of connection ids"),
    ("TcpListener", "the world speaks of connection ids"),
    ("UdpSocket", "the world speaks of connection ids"),
    ("ToSocketAddrs", "names are resolved outside"),
    ("std::os", "return an effect"),
    ("std::env", "options come by value"),
    ("std::process", "return an effect"),
    ("std::thread", "return an effect"),
    ("std::sync::Mutex", "one loop owns a core"),
    ("std::sync::RwLock", "one loop owns a core"),
    ("std::time::Instant", "take units::Moment"),
    ("std::time::SystemTime", "take units::WallTime"),
    ("Instant::now", "take units::Moment"),
    ("SystemTime::now", "take units::WallTime"),
    ("HashMap::new", "a hasher from the seed, or a BTreeMap"),
    ("HashSet::new", "a hasher from the seed, or a BTreeSet"),
    ("RandomState::new", "a hasher from the seed"),
    ("rand", "units::Random, from the seed"),
    ("tokio", "a core waits for nothing"),
    ("nix", "return an effect"),
    ("socket2", "return an effect"),
    ("io_uring", "return an effect"),
    ("async", "a core waits for nothing"),
    ("await", "a core waits for nothing"),
    ("println!", "return an effect"),
    ("eprintln!", "return an effect"),
];

pub(super) fn imports_obey_the_table(files: &[File]) -> Findings {
    let mut findings = Findings::default();
    for (file, module, code) in production(files) {
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == module) else {
            findings.add(
                &file.path,
                1,
                format!("`{module}` has no row in the layer table"),
            );
            continue;
        };
        for (at, named) in crate_paths(&code) {
            if named == module || allowed.contains(&"*") || allowed.contains(&named.as_str()) {
                continue;
            }
            // An item of the crate's root is no module; the table has a row for every module.
            if LAYERS.iter().any(|(name, _)| *name == named) {
                findings.add(
                    &file.path,
                    source::line_of(&code, at),
                    format!(
                        "`{module}` may not know `{named}` (it may: {})",
                        allowed.join(", ")
                    ),
                );
            }
        }
    }
    findings
}

pub(super) fn cores_know_no_world(files: &[File]) -> Findings {
    let mut findings = Findings::default();
    for (file, module, code) in production(files) {
        if !PURE.contains(&module) {
            continue;
        }
        let code = expand_std_groups(&code);
        for (word, instead) in WORLD {
            for at in source::find_word(&code, word) {
                // `tokio` as a module of ours or a field would be a word too; only paths count.
                let path = matches!(*word, "rand" | "tokio" | "nix" | "socket2" | "io_uring");
                if path && !code[at + word.len()..].starts_with("::") {
                    continue;
                }
                findings.add(
                    &file.path,
                    source::line_of(&code, at),
                    format!("a core names `{word}`: {instead}"),
                );
            }
        }
    }
    findings
}

pub(super) fn unsafe_stays_in_the_ring(files: &[File]) -> Findings {
    let mut findings = Findings::default();
    for file in files.iter().filter(|f| f.is_rust()) {
        if file.path.starts_with("src/disk/ring/") {
            continue;
        }
        let code = source::blank(&file.text, Keep::Code);
        for at in source::find_word(&code, "unsafe") {
            findings.add(
                &file.path,
                source::line_of(&code, at),
                "`unsafe` outside src/disk/ring/",
            );
        }
    }
    findings
}

/// Every production file of `src/` with its module and its code without comments, strings and tests.
fn production(files: &[File]) -> impl Iterator<Item = (&File, &str, String)> {
    files
        .iter()
        .filter(|f| f.is_rust() && !f.is_test())
        .filter_map(|file| {
            let module = file.module()?;
            Some((
                file,
                module,
                source::without_tests(&source::blank(&file.text, Keep::Code)),
            ))
        })
}

/// The modules named right after `crate::`, also in `crate::{a, b::c}`.
fn crate_paths(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for at in source::find_word(code, "crate::") {
        let rest = &code[at + "crate::".len()..];
        if rest.starts_with('{') {
            let end = source::closing_brace(rest, 0).min(rest.len());
            found.extend(top_level(&rest[1..end]).into_iter().map(|name| (at, name)));
        } else {
            found.push((at, word(rest)));
        }
    }
    found
}

/// The first word of each part of a brace group.
fn top_level(group: &str) -> Vec<String> {
    let mut depth = 0;
    let mut parts = vec![String::new()];
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => parts.push(String::new()),
            c => parts.last_mut().expect("there is always a part").push(c),
        }
    }
    parts
        .iter()
        .map(|part| word(part.trim_start()))
        .filter(|name| !name.is_empty())
        .collect()
}

fn word(text: &str) -> String {
    text.chars()
        .take_while(|&c| c.is_ascii_alphanumeric() || c == '_')
        .collect()
}

/// `use std::{fs, io::Read}` with each part written out once more behind it, so that the list above
/// finds it. The lines stay the same.
fn expand_std_groups(code: &str) -> String {
    let mut out = code.to_string();
    for (prefix, at) in ["std::{", "std::time::{", "std::sync::{"]
        .iter()
        .flat_map(|p| {
            source::find_word(code, p)
                .into_iter()
                .map(move |at| (p, at))
        })
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
    {
        let open = at + prefix.len() - 1;
        let end = source::closing_brace(code, open);
        let path = prefix.trim_end_matches('{');
        let names: Vec<String> = top_level(&code[open + 1..end])
            .iter()
            .map(|name| format!(" {path}{name}"))
            .collect();
        out.insert_str(at, &format!("{} ", names.concat().trim_start()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> Vec<File> {
        vec![File {
            path: path.to_string(),
            text: text.to_string(),
        }]
    }

    #[test]
    fn a_core_that_names_another_core_is_found() {
        let bad = file(
            "src/broker/put.rs",
            "use crate::{segments, coordinator::tree};",
        );
        assert_eq!(imports_obey_the_table(&bad).len(), 1);
        let good = file("src/broker/put.rs", "use crate::{segments, units::Moment};");
        assert_eq!(imports_obey_the_table(&good).len(), 0);
        let bad = file("src/disk/threads.rs", "fn f(x: crate::node::Node) {}");
        assert_eq!(imports_obey_the_table(&bad).len(), 1);
    }

    #[test]
    fn a_core_that_reads_a_clock_or_a_file_is_found() {
        for text in [
            "use std::fs;",
            "use std::{collections::BTreeMap, fs::File};",
            "use std::time::{Duration, Instant};",
            "fn f() { tokio::spawn(g()); }",
            "async fn f() {}",
        ] {
            assert!(
                !cores_know_no_world(&file("src/broker/put.rs", text)).is_empty(),
                "{text}"
            );
        }
        for text in [
            "use std::time::Duration; // not std::time::Instant",
            "let operand = 1;",
            "#[cfg(test)]\nmod tests { use std::fs; }",
        ] {
            assert_eq!(
                cores_know_no_world(&file("src/broker/put.rs", text)).len(),
                0,
                "{text}"
            );
        }
    }
}
