//! Names in a sentence, and in a command that is to be pasted.

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

/// Text as one word of a shell's line.
pub fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:,@%+=-".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}
