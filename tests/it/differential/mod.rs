//! The same script to the original and to ours, the answers compared.
//!
//! A script is a text file: commands, and indented below each what the *original* answered. `UPDATE=1` with
//! `CHRYSALIS_TESTS=full` writes the answers down anew. Where ours differs on purpose, a line `  ours: …` says what ours
//! answers instead, and a comment right above the command gives the reason; docs/compatibility.md has the same list for
//! people.

mod metaq;
mod swapped_files;
mod walk;
mod zookeeper;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Whose answers are expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Original,
    Ours,
}

/// A command and the answers to it.
#[derive(Debug, Default)]
struct Step {
    /// Comments and empty lines above the command, as they stand.
    above: Vec<String>,
    /// Empty for what stands behind the last command.
    command: String,
    original: Vec<String>,
    /// What ours answers where it differs; empty if it does not.
    ours: Vec<String>,
}

fn folder(protocol: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/differential")
        .join(protocol)
}

/// The scripts of one protocol, by name.
fn scripts(protocol: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder(protocol))
        .expect("the scripts are in the source tree")
        .map(|entry| entry.expect("list the scripts").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    files
}

fn parse(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut above = Vec::new();
    for line in text.lines() {
        let step = steps.last_mut();
        if let Some(answer) = line.strip_prefix("  ours: ") {
            step.expect("an answer below a command")
                .ours
                .push(answer.to_owned());
        } else if let Some(answer) = line.strip_prefix("  ") {
            step.expect("an answer below a command")
                .original
                .push(answer.to_owned());
        } else if line.is_empty() || line.starts_with('#') {
            above.push(line.to_owned());
        } else {
            let above = std::mem::take(&mut above);
            steps.push(Step {
                above,
                command: line.to_owned(),
                ..Step::default()
            });
        }
    }
    steps
}

fn print(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        for line in &step.above {
            writeln!(text, "{line}").expect("strings grow");
        }
        writeln!(text, "{}", step.command).expect("strings grow");
        for line in &step.original {
            writeln!(text, "  {line}").expect("strings grow");
        }
        for line in &step.ours {
            writeln!(text, "  ours: {line}").expect("strings grow");
        }
    }
    text
}

/// Plays one script; `run` carries out a command and returns the lines of its answer.
///
/// Returns where the answers differ.
fn play(file: &Path, side: Side, mut run: impl FnMut(&str) -> Vec<String>) -> Vec<String> {
    let mut steps = parse(&fs::read_to_string(file).expect("read a script"));
    let mut differences = Vec::new();
    let name = file
        .file_name()
        .expect("a file")
        .to_string_lossy()
        .into_owned();
    for step in &mut steps {
        let answers = run(&step.command);
        let expected = if side == Side::Ours && !step.ours.is_empty() {
            &step.ours
        } else {
            &step.original
        };
        if &answers != expected {
            differences.push(format!(
                "{name}: {}\n  expected  {}\n  answered  {}",
                step.command,
                expected.join("\n            "),
                answers.join("\n            ")
            ));
        }
        if side == Side::Original {
            step.original = answers;
        }
    }
    if side == Side::Original && std::env::var_os("UPDATE").is_some() {
        fs::write(file, print(&steps)).expect("write a script");
        return Vec::new();
    }
    differences
}

/// Bytes written as text: `\xNN`, `\s` for a space, `\n`, `\r`, `\u{N}`, and `""` for nothing.
fn unescape(text: &str) -> Vec<u8> {
    if text == "\"\"" {
        return Vec::new();
    }
    let mut bytes = Vec::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            bytes.extend_from_slice(c.to_string().as_bytes());
            continue;
        }
        match rest.next().expect("something behind a backslash") {
            's' => bytes.push(b' '),
            'n' => bytes.push(b'\n'),
            'r' => bytes.push(b'\r'),
            'x' => {
                let digits: String = rest.by_ref().take(2).collect();
                bytes.push(u8::from_str_radix(&digits, 16).expect("two hex digits"));
            }
            'u' => {
                let digits: String = rest.by_ref().skip(1).take_while(|c| *c != '}').collect();
                let code = u32::from_str_radix(&digits, 16).expect("hex digits");
                let c = char::from_u32(code).expect("a character");
                bytes.extend_from_slice(c.to_string().as_bytes());
            }
            // `\*N` stands for N bytes of x.
            '*' => {
                let digits: String = rest.by_ref().collect();
                bytes.resize(
                    bytes.len() + digits.parse::<usize>().expect("a count"),
                    b'x',
                );
            }
            other => panic!("no such escape: \\{other}"),
        }
    }
    bytes
}

/// The opposite, for answers.
fn escape(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "\"\"".to_owned();
    }
    if bytes.len() > 200 {
        return format!(
            "({} bytes, crc {:08x})",
            bytes.len(),
            crc32fast::hash(bytes)
        );
    }
    let mut text = String::new();
    for c in String::from_utf8_lossy(bytes).chars() {
        match c {
            ' ' => text.push_str("\\s"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\\' => text.push_str("\\\\"),
            c if c.is_control() => write!(text, "\\x{:02x}", u32::from(c)).expect("strings grow"),
            c => text.push(c),
        }
    }
    text
}

fn complain(differences: &[String]) {
    assert!(
        differences.is_empty(),
        "{} answers differ:\n\n{}",
        differences.len(),
        differences.join("\n\n")
    );
}

#[test]
fn every_difference_in_a_script_has_its_reason() {
    for file in scripts("zookeeper").into_iter().chain(scripts("metaq")) {
        for step in parse(&fs::read_to_string(&file).expect("read a script")) {
            assert!(
                step.ours.is_empty() || step.above.iter().any(|line| line.len() > 10),
                "{}: {}: no reason above it",
                file.display(),
                step.command
            );
        }
    }
}
