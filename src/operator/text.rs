//! Text as wide as who reads it has room for.

use std::io;

use terminal_size::{Width, terminal_size_of};

/// Columns of text that is read as a page, where nobody says how many there are.
const PAGE: usize = 80;
/// A page is not made wider than this: the eye loses the line.
const PAGE_MAX: usize = 100;
/// Narrower than this nothing is readable, and a line may stand out.
const COLUMNS_MIN: usize = 30;

/// The columns of standard output: what `COLUMNS` says, or the terminal. None where it is a pipe or a file: what is
/// read line by line has its lines whole there.
pub fn columns() -> Option<usize> {
    let told = std::env::var("COLUMNS").ok();
    let told = told.and_then(|columns| columns.trim().parse().ok());
    let told = told.filter(|columns| *columns > 0);
    let terminal = || terminal_size_of(io::stdout()).map(|(Width(columns), _)| columns.into());
    let columns: usize = told.or_else(terminal)?;
    Some(columns.max(COLUMNS_MIN))
}

/// The columns of a page on standard output.
pub fn page_columns() -> usize {
    columns().map_or(PAGE, |columns| columns.min(PAGE_MAX))
}

/// `text` in lines of at most `columns`, broken between words; `indent` stands before all lines but the first, which
/// begins at `at`.
pub fn wrap(text: &str, columns: usize, at: usize, indent: usize) -> String {
    let mut wrapped = String::new();
    let mut column = at;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        let is_first_of_all = wrapped.is_empty();
        if !is_first_of_all && column + 1 + length > columns {
            wrapped.push('\n');
            wrapped.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        } else if !is_first_of_all {
            wrapped.push(' ');
            column += 1;
        }
        wrapped.push_str(word);
        column += length;
    }
    wrapped
}

/// A page of Markdown with its paragraphs and lists in lines of at most `columns`. Titles and indented code stay as
/// they are, and a table becomes aligned columns, a row a line.
pub fn page(markdown: &str, columns: usize) -> String {
    let mut text = String::new();
    let mut rows: Vec<Vec<&str>> = Vec::new();
    let mut paragraph = String::new();
    let put = |paragraph: &mut String, text: &mut String| {
        if !paragraph.is_empty() {
            let indent = marker(paragraph);
            text.push_str(&wrap(paragraph, columns, 0, indent));
            text.push('\n');
            paragraph.clear();
        }
    };
    for line in markdown.lines() {
        if let Some(row) = line.strip_prefix('|') {
            put(&mut paragraph, &mut text);
            rows.push(
                row.trim_end_matches('|')
                    .split('|')
                    .map(str::trim)
                    .collect(),
            );
            continue;
        }
        push_table(&mut rows, &mut text);
        let is_code = line.starts_with("    ") && paragraph.is_empty();
        if line.is_empty() || line.starts_with('#') || is_code {
            put(&mut paragraph, &mut text);
            text.push_str(line);
            text.push('\n');
            continue;
        }
        if marker(line) > 0 {
            put(&mut paragraph, &mut text);
        }
        if !paragraph.is_empty() {
            paragraph.push(' ');
        }
        paragraph.push_str(line.trim());
    }
    put(&mut paragraph, &mut text);
    push_table(&mut rows, &mut text);
    text
}

/// Takes the rows of a table, if there are any; that below the titles has only dashes.
fn push_table(rows: &mut Vec<Vec<&str>>, text: &mut String) {
    let is_rule = |row: &Vec<&str>| row.iter().all(|cell| cell.starts_with("---"));
    rows.retain(|row| !is_rule(row));
    let widest = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let most = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..most).map(widest).collect();
    for row in rows.drain(..) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("  {cell:<width$}"));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

/// How long the marker is with which an item of a list begins: `- `, `1. `.
fn marker(line: &str) -> usize {
    let Some((marker, _)) = line.split_once(' ') else {
        return 0;
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match marker == "-" || marker.strip_suffix('.').is_some_and(is_number) {
        true => marker.len() + 1,
        false => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Code;

    #[test]
    fn a_page_is_as_wide_as_it_is_told_and_loses_no_word() {
        // A table's lines are not in the columns.
        let of_a_table = |word: &&str| *word == "|" || *word == "---";
        let words = |text: &str| -> Vec<String> {
            let words = text.split_whitespace();
            words
                .filter(|word| !of_a_table(word))
                .map(str::to_owned)
                .collect()
        };
        for code in Code::ALL {
            for columns in [40, 80, 100] {
                let page = page(code.page(), columns);
                assert_eq!(words(&page), words(code.page()), "{code}");
                for line in page.lines() {
                    let is_one_word = line.split_whitespace().count() == 1;
                    let fits = line.chars().count() <= columns || is_one_word;
                    assert!(fits || line.starts_with(['#', ' ']), "{code}: {line}");
                }
            }
        }
    }

    #[test]
    fn a_table_keeps_its_rows() {
        let markdown = "Then raise it:\n\n| what | in a shell |\n| --- | --- |\n| open files | `ulimit -n` |\n| stack | |\n\nThe end.\n";
        assert_eq!(
            page(markdown, 12),
            "Then raise\nit:\n\n  what        in a shell\n  open files  `ulimit -n`\n  stack\n\nThe end.\n"
        );
        let shown = page(Code::E0111.page(), 100);
        assert!(
            shown.contains("\n  open files             `ulimit -n`"),
            "{shown}"
        );
    }

    #[test]
    fn lists_keep_their_items_and_code_its_lines() {
        let markdown = "# T\n\nA long line of words\nand its end.\n\n- one item that is long\n- two\n\n    code that is long, too\n";
        let page = page(markdown, 12);
        assert_eq!(
            page,
            "# T\n\nA long line\nof words and\nits end.\n\n- one item\n  that is\n  long\n- two\n\n    code that is long, too\n"
        );
    }
}
