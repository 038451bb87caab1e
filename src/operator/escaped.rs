//! What others wrote, made fit for a line or a terminal: a line feed must not begin a line that nobody printed, and
//! an escape must not change colours, titles or what stands above.

use std::fmt::Write as _;

/// Bytes for the inside of a line: line feeds, other control characters, backslashes and what is no UTF-8 become
/// `\n`, `\u{1b}`, `\\` and `\xff`.
pub(super) fn in_a_line(bytes: &[u8]) -> String {
    escape(bytes, |c| c.is_control() || c == '\\')
}

/// Bytes for a terminal: lines and tabs stay, and so do backslashes.
pub(super) fn on_a_terminal(bytes: &[u8]) -> String {
    escape(bytes, |c| c.is_control() && c != '\n' && c != '\t')
}

fn escape(bytes: &[u8], which: impl Fn(char) -> bool) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match which(c) {
                true => text.extend(c.escape_default()),
                false => text.push(c),
            }
        }
        for byte in chunk.invalid() {
            // Writing to a string cannot fail.
            let _written = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line_and_tells_what_was_in_it() {
        assert_eq!(in_a_line("Größe 5".as_bytes()), "Größe 5");
        assert_eq!(
            in_a_line(b"a\n1-0 offset 7\r\x1b[2J\\\xff\t"),
            r"a\n1-0 offset 7\r\u{1b}[2J\\\xff\t"
        );
        assert_eq!(in_a_line("\u{9b}31m".as_bytes()), r"\u{9b}31m");
    }

    #[test]
    fn a_terminal_gets_lines_and_no_commands() {
        assert_eq!(on_a_terminal(b"a\tb\nc\\d"), "a\tb\nc\\d");
        assert_eq!(on_a_terminal(b"\x1b]0;title\x07"), r"\u{1b}]0;title\u{7}");
    }
}
