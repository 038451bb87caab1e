//! What documents show is what the commands print: each `console` block is played on a fresh server and compared in
//! shape, without its numbers.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::harness::command::chrysalis;
use crate::harness::deployment::{Deployment as _, START_LIMIT};
use crate::harness::process::eventually;
use crate::harness::server::{CHRYSALIS, Server};

/// Where the documents' server lies.
const HOME: &str = "/home/ann/chrysalis";

/// A command in a document, and what it shows as its output.
struct Sample {
    command: String,
    output: String,
}

fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(path).expect("the document is there")
}

/// The samples of a document, in order.
fn samples(name: &str) -> Vec<Sample> {
    let text = document(name);
    let blocks = text
        .split("\n```")
        .filter_map(|block| block.strip_prefix("console\n"));
    let mut samples: Vec<Sample> = Vec::new();
    for line in blocks.flat_map(str::lines) {
        if let Some(command) = line.strip_prefix("$ ") {
            samples.push(Sample {
                command: command.to_owned(),
                output: String::new(),
            });
        } else {
            let sample = samples.last_mut().expect("a block begins with a command");
            sample.output.push_str(line);
            sample.output.push('\n');
        }
    }
    samples
}

/// Compares what a document shows for the command that begins so with what it printed. The server lies in `home`.
#[track_caller]
pub(crate) fn assert_shown(name: &str, command: &str, printed: &str, home: &Path) {
    let samples = samples(name);
    let mut samples = samples.iter();
    let sample = samples.find(|sample| sample.command.starts_with(command));
    let sample = sample.unwrap_or_else(|| panic!("{name} does not show {command}"));
    assert_same_shape(name, sample, printed, home);
}

#[track_caller]
fn assert_same_shape(name: &str, sample: &Sample, printed: &str, home: &Path) {
    let home = home.to_str().expect("a plain path");
    let printed = printed.replace(home, HOME);
    let shown = shape(&sample.output);
    let mut rest = shape(&printed).join(" ");
    // `...` stands for whatever is left out there.
    let parts: Vec<String> = shown
        .split(|token| token == "...")
        .map(|part| part.join(" "))
        .collect();
    let count = parts.len();
    let mut is_shown = true;
    for (index, part) in parts.iter().enumerate() {
        let at = match index {
            0 => rest.starts_with(part.as_str()).then_some(0),
            _ if index + 1 == count => rest
                .ends_with(part.as_str())
                .then(|| rest.len() - part.len()),
            _ => rest.find(part.as_str()),
        };
        is_shown &= at.is_some();
        rest = rest.split_off(at.unwrap_or(0) + at.map_or(0, |_| part.len()));
    }
    is_shown &= rest.is_empty() || parts.last().is_some_and(String::is_empty);
    assert!(
        is_shown,
        "{name} shows for `{}`\n{}\nand it prints\n{printed}",
        sample.command, sample.output
    );
}

/// The words of a text without what differs from run to run: numbers, units, plurals, where lines break, and what a
/// machine warns of.
fn shape(text: &str) -> Vec<String> {
    let mut shape: Vec<String> = Vec::new();
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("warning"));
    for line in lines {
        // How a disk is written depends on the machine.
        let line = match line.trim_start().starts_with("disk of ") {
            true => line.split(',').next().unwrap_or_default(),
            false => line,
        };
        for word in line.split_whitespace() {
            let word = masked(word);
            let counted = shape.last().is_some_and(|before| before == "#");
            let word = match word.as_str() {
                "B" | "KiB" | "MiB" | "GiB" | "TiB" | "s" | "min" | "h" | "d" if counted => {
                    // Of `1 h 3 min` only one number is left.
                    let again = shape.len() > 2 && shape[shape.len() - 2] == "U";
                    if again {
                        shape.pop();
                        continue;
                    }
                    "U".to_owned()
                }
                "threads" => "io_uring".to_owned(),
                plural if counted => plural
                    .trim_end_matches('s')
                    .trim_end_matches('e')
                    .to_owned(),
                _ => word,
            };
            shape.push(word);
        }
    }
    shape
}

/// A word with `#` for each number in it, and without punctuation at its ends.
fn masked(word: &str) -> String {
    if word == "..." {
        return word.to_owned();
    }
    let word = word.trim_matches(|c| "(),;".contains(c));
    if word.starts_with("0x") {
        return "#".to_owned();
    }
    let mut masked = String::new();
    for c in word.chars() {
        let in_number = masked.ends_with('#');
        match c {
            '0'..='9' if in_number => {}
            '0'..='9' => masked.push('#'),
            '.' if in_number => {}
            c => masked.push(c),
        }
    }
    masked
}

/// Runs a command of a document where its server lies.
fn play(command: &str, server: &Server) -> Output {
    let home = server.folder().parent().expect("it lies in a folder");
    let program = Path::new(CHRYSALIS).parent().expect("it lies in a folder");
    let path = std::env::var("PATH").expect("there is a PATH");
    // The documents name the ports that are there by default, and measure for longer.
    let options = if command.starts_with("chrysalis bench broker put") {
        format!(" --broker {} --seconds 1 --warm-up 0", server.broker())
    } else if command.starts_with("chrysalis bench disk") {
        " --seconds 1".to_owned()
    } else {
        String::new()
    };
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("{command}{options}")])
        .current_dir(home)
        .env("PATH", format!("{}:{path}", program.display()))
        .env("CHRYSALIS_FOLDER", server.folder())
        .env_remove("COLUMNS");
    shell.output().expect("sh starts")
}

#[test]
fn documents_show_what_the_commands_print() {
    for (name, least) in [("README.md", 5), ("docs/operating.md", 9)] {
        let server = Server::start(&[]);
        let home = server.folder().parent().expect("it lies in a folder");
        let registered = || chrysalis(&server, &["status"]).contains("clients find this broker");
        eventually("the broker is registered", START_LIMIT, registered);
        let mut seen = 0;
        for mut sample in samples(name) {
            if !sample.command.starts_with("chrysalis ") {
                // What prints nothing prepares a shell; install.sh is compared in the test that runs it.
                let is_known =
                    sample.output.is_empty() || sample.command.starts_with("./install.sh");
                assert!(is_known, "{name}: nothing plays `{}`", sample.command);
                continue;
            }
            let output = play(&sample.command, &server);
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {errors}", sample.command);
            let mut printed = String::from_utf8(output.stdout).expect("it is text");
            if sample.command.starts_with("chrysalis consume") {
                // Partitions are read in any order.
                sample.output = sorted(&sample.output);
                printed = sorted(&printed);
            }
            assert_same_shape(name, &sample, &printed, home);
            seen += 1;
        }
        assert!(seen >= least, "{name} shows only {seen} commands");
    }
}

fn sorted(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

#[test]
fn a_shape_is_not_the_same_for_other_words() {
    let of = |text: &str| shape(text);
    assert_eq!(of("up 4 s (process 7003)"), of("up 1 h 3 min (process 9)"));
    assert_eq!(of("1 session, 7\n  watches"), of("2 sessions, 1 watch"));
    assert_eq!(of("  warning  x\n5 B"), of("1.5 GiB"));
    assert_ne!(
        of("registration  clients find it"),
        of("registration  not found")
    );
    assert_ne!(of("1 2 3"), of("1 2"));
}

#[test]
fn the_loop_that_moves_offsets_moves_every_group() {
    let (old, new) = (
        Server::start(&[("orders", 2)]),
        Server::start(&[("orders", 2)]),
    );
    chrysalis(&old, &["produce", "orders", "one", "two"]);
    for group in ["billing", "mail"] {
        chrysalis(&old, &["consume", "orders", "--group", group]);
    }
    let text = document("docs/moving.md");
    let block = text
        .split("   ```")
        .find(|block| block.contains("old=zk1:2181"));
    let script = block.expect("the loop is there").trim_start_matches("sh\n");
    let script = script
        .replace("old=zk1:2181", &format!("old={}", old.coordinator()))
        .replace("new=127.0.0.1:2181", &format!("new={}", new.coordinator()));
    let output = play(&script, &new);
    assert!(output.status.success(), "{output:?}\n{script}");
    let offsets = |server: &Server| -> Vec<(String, String)> {
        let nodes = chrysalis(server, &["zk", "ls", "-R", "/meta/consumers"]);
        let nodes = nodes
            .lines()
            .filter(|node| node.contains("/offsets/orders/"));
        nodes
            .map(|node| (node.to_owned(), chrysalis(server, &["zk", "get", node])))
            .collect()
    };
    assert_eq!(
        offsets(&old).len(),
        4,
        "two groups have read two partitions"
    );
    assert_eq!(offsets(&new), offsets(&old));
}
