//! Transcripts: commands, dashes, everything that happened, a blank line; and so on. A line that begins with `#`
//! is for the reader. `UPDATE=1 cargo test --lib` writes them anew; read the difference as a specification.

use std::fmt::Display;
use std::fmt::Write as _;
use std::path::Path;

/// Runs every transcript of a folder of the repository, and compares it with what happens.
#[track_caller]
pub(crate) fn check_folder(folder: &str, run: impl Fn(&str) -> String) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut scripts: Vec<_> = std::fs::read_dir(&folder)
        .expect("list the scripts")
        .map(|entry| entry.expect("list the scripts").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    scripts.sort();
    assert!(!scripts.is_empty());
    let mut wrong = Vec::new();
    for script in scripts {
        let written = std::fs::read_to_string(&script).expect("read a script");
        let happened = run(&written);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&script, &happened).expect("write a script");
        } else if happened != written {
            let lines = written.lines().zip(happened.lines());
            let same = lines.take_while(|(a, b)| a == b).count();
            let at = |text: &str| text.lines().nth(same).unwrap_or("(the end)").to_owned();
            let (written, happened) = (at(&written), at(&happened));
            let (name, line) = (script.display(), same + 1);
            wrong.push(format!(
                "{name}:{line}\n  written  {written}\n  happened {happened}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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
