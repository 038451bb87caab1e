//! Names, sizes, scripts, and what must not be left in the tree.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use super::Findings;
use super::source::{self, File, Keep};

/// Words that say what a thing is for nobody. As the last word of a type, or a file's name.
const VAGUE: &[&str] = &[
    "Manager", "Handler", "Helper", "Helpers", "Util", "Utils", "Common", "Base", "Impl", "Data",
    "Info",
];

/// Names of the protocols' own operations, which nobody may rename.
const PROTOCOL: &[&str] = &["SetData", "GetData"];

/// A function longer than this, or a file, has to be in the ratchet's table.
const FUNCTION_LINES_MAX: usize = 70;

const FILE_LINES_MAX: usize = 600;

const RATCHET: &str = "tests/it/tidy/ratchet.txt";

pub(super) fn every_golden_file_is_used(files: &[File]) -> Findings {
    let mut findings = Findings::default();
    let tests: Vec<&File> = files
        .iter()
        .filter(|f| !f.path.starts_with("tests/it/tidy") && !f.path.starts_with("tests/golden/"))
        .filter(|f| {
            [".rs", ".py", ".java"]
                .iter()
                .any(|end| f.path.ends_with(end))
        })
        .collect();
    for golden in files.iter().filter(|f| f.path.starts_with("tests/golden/")) {
        let name = golden.path.rsplit('/').next().unwrap_or_default();
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        // A folder may be read as a whole; then the test names the folder.
        let folder = golden
            .path
            .rsplit_once('/')
            .map_or("", |(folder, _)| folder);
        let short = folder.trim_start_matches("tests/");
        let used = tests.iter().any(|test| {
            test.text.contains(&format!("{stem}\""))
                || test.text.contains(name)
                || test.text.contains(short)
        });
        if name != "README.md" && !used {
            findings.add(&golden.path, 1, "no test uses this golden file");
        }
    }
    findings
}

pub(super) fn nothing_is_unfinished(files: &[File]) -> Findings {
    // Put together, so that this list does not find itself.
    let marks: Vec<String> = [
        ("FIX", "ME"),
        ("todo", "!("),
        ("unimplemented", "!("),
        ("#[ig", "nore"),
    ]
    .iter()
    .map(|(a, b)| format!("{a}{b}"))
    .collect();
    let mut findings = Findings::default();
    for file in files
        .iter()
        .filter(|f| !f.path.ends_with(".md") && !f.path.ends_with(".toml"))
    {
        if file.path.starts_with("tests/it/tidy") {
            continue;
        }
        for (index, line) in file.text.lines().enumerate() {
            for mark in marks.iter().filter(|mark| line.contains(mark.as_str())) {
                findings.add(
                    &file.path,
                    index + 1,
                    format!("`{mark}`: finish it, or take it out"),
                );
            }
        }
    }
    findings
}

pub(super) fn names_say_what_a_thing_is(files: &[File]) -> Findings {
    let mut findings = Findings::default();
    for file in files.iter().filter(|f| f.is_rust()) {
        let stem = file
            .path
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .trim_end_matches(".rs");
        if VAGUE.iter().any(|vague| stem.eq_ignore_ascii_case(vague)) {
            findings.add(&file.path, 1, format!("`{stem}` names no job"));
        }
        let code = source::blank(&file.text, Keep::Code);
        for keyword in ["struct", "enum", "trait", "type"] {
            for at in source::find_word(&code, keyword) {
                let rest = code[at + keyword.len()..].trim_start();
                let length = rest.bytes().take_while(|&b| source::is_word(b)).count();
                let name = &rest[..length];
                if VAGUE.iter().any(|vague| name.ends_with(vague)) && !PROTOCOL.contains(&name) {
                    let line = source::line_of(&code, at);
                    findings.add(&file.path, line, format!("`{name}` names no job"));
                }
            }
        }
    }
    findings
}

/// Long functions and files may stay as long as they are; they may not grow, and no new one may come
/// without being written down.
pub(super) fn what_is_long_does_not_grow(files: &[File]) -> Findings {
    let mut now = BTreeMap::new();
    for file in files.iter().filter(|f| f.is_rust()) {
        let lines = file.text.lines().count();
        if lines > FILE_LINES_MAX {
            now.insert(file.path.clone(), lines);
        }
        for (name, lines) in functions(&source::blank(&file.text, Keep::Code)) {
            if lines > FUNCTION_LINES_MAX {
                now.insert(format!("{} {name}", file.path), lines);
            }
        }
    }
    let table = source::root().join(RATCHET);
    if std::env::var_os("UPDATE").is_some() {
        let text: String = now
            .iter()
            .map(|(what, lines)| format!("{lines} {what}\n"))
            .collect();
        fs::write(&table, text).expect("the ratchet's table can be written");
    }
    let text = fs::read_to_string(&table).unwrap_or_default();
    let known: BTreeMap<&str, usize> = text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(lines, what)| Some((what, lines.parse().ok()?)))
        .collect();
    let mut findings = Findings::default();
    for (what, lines) in &now {
        let (path, is_function) = match what.split_once(' ') {
            Some((path, _)) => (path, true),
            None => (what.as_str(), false),
        };
        let limit = if is_function {
            FUNCTION_LINES_REFUSED
        } else {
            FILE_LINES_REFUSED
        };
        let (had, most) = match known.get(what.as_str()) {
            // A fifth more than what was written down is more than a change in passing.
            Some(had) => (format!("it had {had}"), had + had / 5),
            None => ("new among the long ones".to_owned(), limit),
        };
        let grew = known.get(what.as_str()).is_none_or(|had| lines > had);
        if *lines > most {
            findings.add(path, 1, format!("{what}: {lines} lines, {had}"));
        } else if grew {
            #[allow(clippy::print_stderr, reason = "a report to whoever runs the test")]
            {
                eprintln!("{what}: {lines} lines, {had}");
            }
        }
    }
    if !findings.is_empty() {
        findings.note(format!(
            "split by reason to change; where longer is clearer, write it down in {RATCHET}: UPDATE=1 cargo test --test it tidy"
        ));
    }
    findings
}

/// A function that is new among the long ones and longer than this is not let in.
const FUNCTION_LINES_REFUSED: usize = 150;
/// The same for a file.
const FILE_LINES_REFUSED: usize = 1400;

/// Each function's name and how many lines it has from `fn` to its closing brace.
fn functions(code: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for at in source::find_word(code, "fn") {
        let rest = &code[at + 2..];
        let name: String = rest
            .trim_start()
            .chars()
            .take_while(|&c| c.is_ascii_alphanumeric() || c == '_')
            .collect();
        let Some(open) = rest.find(['{', ';']) else {
            continue;
        };
        if name.is_empty() || rest.as_bytes()[open] == b';' {
            continue;
        }
        let end = source::closing_brace(rest, open).min(rest.len());
        found.push((name, 1 + rest[..end].matches('\n').count()));
    }
    found
}

pub(super) fn no_path_of_a_machine(files: &[File]) -> Findings {
    let mut findings = Findings::default();
    let paths = [concat!("/wo", "rk/"), concat!("/ro", "ot/")];
    for file in files {
        for (index, line) in file.text.lines().enumerate() {
            for path in paths.iter().filter(|path| line.contains(**path)) {
                findings.add(
                    &file.path,
                    index + 1,
                    format!("`{path}` is a path of one machine"),
                );
            }
        }
    }
    findings
}

pub(super) fn shell_scripts_parse(files: &[File]) -> Findings {
    let mut findings = Findings::default();
    for file in files.iter().filter(|f| f.is_shell()) {
        let output = Command::new("bash")
            .arg("-n")
            .arg(source::root().join(&file.path))
            .output()
            .expect("bash is there: the entry points are written in it");
        if !output.status.success() {
            findings.add(
                &file.path,
                1,
                String::from_utf8_lossy(&output.stderr).trim().to_string(),
            );
        }
        if !file
            .text
            .lines()
            .any(|line| line.starts_with("set -") && line.contains('u'))
        {
            findings.add(
                &file.path,
                1,
                "a script begins with `set -euo pipefail`, or at least `set -u`",
            );
        }
    }
    findings
}
