//! The repository's files, and Rust text with what is not code blanked out.
//!
//! Not a parser: enough of the lexer to tell code, comments and strings apart, so that a word in a
//! comment is never taken for a call. Line numbers survive, because blanks replace what is removed.

use std::fs;
use std::path::{Path, PathBuf};

/// One file, with its path relative to the repository.
pub(super) struct File {
    pub(super) path: String,
    pub(super) text: String,
}

impl File {
    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Bash by its first line, whatever its name.
    pub(super) fn is_shell(&self) -> bool {
        let first = self.text.lines().next().unwrap_or("");
        first.starts_with("#!") && (first.contains("bash") || first.ends_with("/sh"))
    }

    /// A file of tests: it runs in no server, so the rules of the cores do not bind it.
    pub(super) fn is_test(&self) -> bool {
        self.path.starts_with("tests/")
            || self.path.ends_with("/tests.rs")
            || self.path.contains("/tests/")
    }

    /// The folder or file directly under `src/`, which is the unit of the layer table.
    pub(super) fn module(&self) -> Option<&str> {
        let below = self.path.strip_prefix("src/")?;
        Some(
            below
                .split('/')
                .next()
                .unwrap_or(below)
                .trim_end_matches(".rs"),
        )
    }
}

pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every text file that belongs to the repository, sorted by path. What a build or a test leaves behind
/// is told by its folder's name, because a release's source archive has no git to ask.
pub(super) fn all() -> Vec<File> {
    let mut files = Vec::new();
    walk(root(), &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn walk(folder: &Path, files: &mut Vec<File>) {
    const NOT_OURS: &[&str] = &["target", ".git", "__pycache__", ".venv", "node_modules"];
    let entries: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap_or_else(|e| panic!("list {}: {e}", folder.display()))
        .map(|entry| {
            entry
                .expect("a folder that was opened can be listed")
                .path()
        })
        .collect();
    for path in entries {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_symlink() || NOT_OURS.contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            walk(&path, files);
        } else if let Ok(text) = fs::read_to_string(&path) {
            let relative = path
                .strip_prefix(root())
                .expect("the walk starts at the root");
            files.push(File {
                path: relative.to_string_lossy().into_owned(),
                text,
            });
        }
    }
}

/// What [`blank`] keeps.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// Code alone.
    Code,
    /// Code and the strings in it.
    CodeAndStrings,
}

/// `text` with comments, and strings unless kept, replaced by blanks; newlines stay where they are.
pub(super) fn blank(text: &str, keep: Keep) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let (end, kept) = token(bytes, at, keep);
        for &byte in &bytes[at..end] {
            out.push(if kept || byte == b'\n' { byte } else { b' ' });
        }
        at = end;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Where the token at `at` ends, and whether it is kept.
fn token(bytes: &[u8], at: usize, keep: Keep) -> (usize, bool) {
    let rest = &bytes[at..];
    let strings = keep == Keep::CodeAndStrings;
    if rest.starts_with(b"//") {
        return (at + line(rest), false);
    }
    if rest.starts_with(b"/*") {
        return (at + block_comment(rest), false);
    }
    if let Some(length) = raw_string(bytes, at) {
        return (at + length, strings);
    }
    match rest[0] {
        b'"' => (at + string(rest), strings),
        b'\'' => {
            let length = character(rest);
            (at + length, strings || length == 1)
        }
        _ => (at + 1, true),
    }
}

fn line(rest: &[u8]) -> usize {
    rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len())
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn string(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// `r"…"`, `r#"…"#`, `br"…"`: only where the `r` does not end an identifier.
fn raw_string(bytes: &[u8], at: usize) -> Option<usize> {
    if at > 0 && is_word(bytes[at - 1]) && !(bytes[at - 1] == b'b' && starts_word(bytes, at - 1)) {
        return None;
    }
    let rest = bytes[at..].strip_prefix(b"r")?;
    let hashes = rest.iter().take_while(|&&b| b == b'#').count();
    if rest.get(hashes) != Some(&b'"') {
        return None;
    }
    let mut closing = vec![b'"'];
    closing.extend(std::iter::repeat_n(b'#', hashes));
    let body = &rest[hashes + 1..];
    let end = body
        .windows(closing.len())
        .position(|w| w == closing)
        .unwrap_or(body.len());
    Some((1 + hashes + 1 + end + closing.len()).min(bytes.len() - at))
}

/// A character literal, or the quote alone where it begins a lifetime.
fn character(rest: &[u8]) -> usize {
    match rest {
        [_, b'\\', _, tail @ ..] => {
            3 + tail
                .iter()
                .position(|&b| b == b'\'')
                .map_or(tail.len(), |p| p + 1)
        }
        [_, first, ..] => {
            let width = match first {
                0xf0.. => 4,
                0xe0.. => 3,
                0xc0.. => 2,
                _ => 1,
            };
            if rest.get(1 + width) == Some(&b'\'') {
                2 + width
            } else {
                1
            }
        }
        _ => 1,
    }
}

pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn starts_word(bytes: &[u8], at: usize) -> bool {
    at == 0 || !is_word(bytes[at - 1])
}

/// Where `word` stands in `code` as a whole: not as part of a longer identifier.
pub(super) fn find_word(code: &str, word: &str) -> Vec<usize> {
    let bytes = code.as_bytes();
    let open = !word.as_bytes().last().copied().is_some_and(is_word);
    code.match_indices(word)
        .map(|(at, _)| at)
        .filter(|&at| starts_word(bytes, at) || !is_word(word.as_bytes()[0]))
        .filter(|&at| open || bytes.get(at + word.len()).is_none_or(|&b| !is_word(b)))
        .collect()
}

/// The line of a byte, counted from 1.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes()[..at]
        .iter()
        .filter(|&&b| b == b'\n')
        .count()
}

/// `code` without its `#[cfg(test)]` modules, blanked like a comment.
pub(super) fn without_tests(code: &str) -> String {
    let mut bytes = code.as_bytes().to_vec();
    for (at, _) in code.match_indices("#[cfg(test)]") {
        let Some(open) = code[at..].find(['{', ';']).map(|p| at + p) else {
            continue;
        };
        let end = if bytes[open] == b'{' {
            closing_brace(code, open)
        } else {
            open
        };
        for byte in &mut bytes[at..=end.min(code.len() - 1)] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Where the brace opened at `open` closes, in text without comments and strings.
pub(super) fn closing_brace(code: &str, open: usize) -> usize {
    let mut depth = 0usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at;
                }
            }
            _ => {}
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_are_not_code() {
        let text =
            "let a = \"x // y\"; // z\nlet b = 'q'; /* w /* v */ */ let c: &'a str = r#\"u\"#;";
        let code = blank(text, Keep::Code);
        assert_eq!(code.len(), text.len());
        for gone in ["x", "y", "z", "q", "w", "v"] {
            assert!(!code.contains(gone), "{gone} was kept: {code}");
        }
        assert!(code.contains("let c: &'a str ="), "{code}");
        assert!(blank(text, Keep::CodeAndStrings).contains("x // y"));
    }

    #[test]
    fn a_word_is_found_only_whole() {
        assert_eq!(find_word("unsafe_code unsafe {", "unsafe"), [12]);
        assert_eq!(find_word("std::fs::read a_std::fs", "std::fs"), [0]);
    }
}
