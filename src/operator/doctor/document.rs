//! What `chrysalis doctor` finds, as the table in docs/operating.md.

use std::fmt::Write as _;

use super::check::Check;
use super::checks;

/// The table, a row for each check, the gravest first.
pub fn table() -> String {
    let mut text =
        String::from("| finding | | what it means | what cures it |\n| --- | --- | --- | --- |\n");
    let mut all: Vec<&Check> = checks::all().collect();
    // The order of the checks stays within one severity, as it does in what is told.
    all.sort_by_key(|check| check.severity);
    for check in all {
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} |",
            check.name, check.severity, check.means, check.cure
        );
    }
    text
}
