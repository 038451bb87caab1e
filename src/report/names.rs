//! Names in a sentence.

/// So many stand in one.
const NAMES_MAX: usize = 8;

/// Names for a sentence; the first of them, if there are many.
pub fn some_of(names: &[String]) -> String {
    let shown = names.len().min(NAMES_MAX);
    let text = names[..shown].join(", ");
    match names.len() - shown {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}
