//! Transcripts: commands, dashes, everything that happened, a blank line; and so on. A line that begins with `#`
//! is for the reader. `UPDATE=1 cargo test --lib` writes them anew; read the difference as a specification.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::fmt::Write as _;

use super::golden::{assert_golden, path_of, read};

/// A test for each script of a folder, called as its file is, and one that no script is forgotten. Behind `=>` stands
/// what plays a script: text to text, the same text if all happens as it is written.
macro_rules! scripts {
    ($folder:literal: $($($name:ident),+ => $play:expr;)+) => {
        $($(
            #[test]
            fn $name() {
                $crate::tests::transcript::check($folder, stringify!($name), $play);
            }
        )+)+

        #[test]
        fn every_script_is_a_test() {
            let tests = [$($(stringify!($name)),+),+];
            $crate::tests::transcript::assert_all($folder, &tests);
        }
    };
}
pub(crate) use scripts;

/// Plays a script of this folder of the repository, and compares it with what happens.
#[track_caller]
pub(crate) fn check(folder: &str, script: &str, play: impl FnOnce(&str) -> String) {
    let name = format!("{folder}/{script}.txt");
    assert_golden(&name, &play(&read(&name)));
}

/// Every file of the folder is a script with a test.
#[track_caller]
pub(crate) fn assert_all(folder: &str, tests: &[&str]) {
    let files = std::fs::read_dir(path_of(folder)).expect("list the scripts");
    let files: BTreeSet<String> = files
        .map(|file| file.expect("list the scripts").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    let tests: BTreeSet<String> = tests.iter().map(|test| format!("{test}.txt")).collect();
    let forgotten: Vec<&String> = files.difference(&tests).collect();
    assert!(forgotten.is_empty(), "{folder}: {forgotten:?} have no test");
}

/// The transcript as it happens: `command` carries out one line and says what came of it.
pub(crate) fn happen<H>(script: &str, mut command: impl FnMut(&str) -> H) -> String
where
    H: IntoIterator<Item: Display>,
{
    let mut out = String::new();
    let mut lines = script.lines().peekable();
    let mut commands = Vec::new();
    while let Some(line) = lines.next() {
        let _ = writeln!(out, "{line}");
        if line == "----" {
            for each in commands.drain(..) {
                for happened in command(each) {
                    let _ = writeln!(out, "{happened}");
                }
            }
            while lines.peek().is_some_and(|line| !line.is_empty()) {
                lines.next();
            }
        } else if !line.is_empty() && !line.starts_with('#') {
            commands.push(line);
        }
    }
    assert!(
        commands.is_empty(),
        "commands without dashes behind them: {commands:?}"
    );
    out
}
