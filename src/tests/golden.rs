//! Files of the repository that say what the code makes. `UPDATE=1 cargo test` writes them anew; the difference is
//! reviewed as a specification.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// How many lines of a difference are shown of either side.
const LINES_MAX: usize = 20;

/// Where a file of the repository is.
pub(crate) fn path_of(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The text of a file of the repository.
#[track_caller]
pub(crate) fn read(name: &str) -> String {
    std::fs::read_to_string(path_of(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The repository's file with this name is what `text` is; `UPDATE=1` makes it so.
#[track_caller]
pub(crate) fn assert_golden(name: &str, text: &str) {
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path_of(name), text).expect("write the golden file");
        return;
    }
    // One that is not there yet is empty.
    let written = std::fs::read_to_string(path_of(name)).unwrap_or_default();
    if let Some((line, lines)) = difference(&written, text) {
        panic!("{name}:{line} is not what happens; UPDATE=1 cargo test writes it anew\n{lines}");
    }
}

/// Where two texts differ: the number of the first such line, and the lines between what both begin and end with,
/// `-` for those that are written and `+` for those that are made.
fn difference(written: &str, made: &str) -> Option<(usize, String)> {
    if written == made {
        return None;
    }
    let (written, made): (Vec<&str>, Vec<&str>) =
        (written.split('\n').collect(), made.split('\n').collect());
    let same = |pair: &(&&str, &&str)| pair.0 == pair.1;
    let before = written.iter().zip(&made).take_while(same).count();
    let (written, made) = (&written[before..], &made[before..]);
    let ends = written.iter().rev().zip(made.iter().rev());
    let behind = ends.take_while(same).count();
    let mut lines = String::new();
    for (sign, side) in [('-', written), ('+', made)] {
        let side = &side[..side.len() - behind];
        for line in &side[..side.len().min(LINES_MAX)] {
            let _ = writeln!(lines, "{sign} {line}");
        }
        if side.len() > LINES_MAX {
            let _ = writeln!(lines, "{sign} and {} lines more", side.len() - LINES_MAX);
        }
    }
    Some((before + 1, lines))
}

#[test]
fn a_difference_is_shown_without_what_both_sides_begin_and_end_with() {
    let shown =
        |written, made| difference(written, made).map(|(at, lines)| format!("{at}\n{lines}"));
    assert_eq!(shown("a\nb\n", "a\nb\n"), None);
    assert_eq!(
        shown("a\nb\nc\nd\n", "a\nx\ny\nd\n").as_deref(),
        Some("2\n- b\n- c\n+ x\n+ y\n")
    );
    // Lines that repeat are of one end only.
    assert_eq!(shown("a\na\n", "a\na\na\n").as_deref(), Some("3\n+ a\n"));
    assert_eq!(shown("a\na\na\n", "a\n").as_deref(), Some("2\n- a\n- a\n"));
    assert_eq!(shown("a", "a\n").as_deref(), Some("2\n+ \n"));
    let many = "x\n".repeat(22);
    let shown = shown("", &many).expect("they differ");
    assert!(shown.ends_with("+ x\n+ and 2 lines more\n"), "{shown}");
}
