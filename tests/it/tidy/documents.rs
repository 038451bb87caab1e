//! What documents promise: a page for every error code, links that lead somewhere, walks through files that
//! exist, the exit codes told the same everywhere.

use std::collections::BTreeSet;

use chrysalis::report::ExitCode;

use super::Findings;
use super::source::{self, File, Keep};

pub(super) fn every_error_code_has_a_page(files: &[File]) -> Findings {
    let mut findings = Findings::default();
    let mut pages = BTreeSet::new();
    for file in files {
        if let Some(name) = file.path.strip_prefix("src/report/codes/") {
            let Some(code) = name.strip_suffix(".md") else {
                continue;
            };
            pages.insert(code.to_string());
            if codes_in(code).is_empty() {
                findings.add(
                    &file.path,
                    1,
                    "a page is named for its code: E and four digits",
                );
            }
            if !file.text.starts_with(&format!("# {code}")) {
                findings.add(
                    &file.path,
                    1,
                    format!("the page's first line begins with `# {code}`"),
                );
            }
        }
    }
    let mut used = BTreeSet::new();
    for file in files
        .iter()
        .filter(|f| f.is_rust() && f.path.starts_with("src/"))
    {
        let text = source::without_tests(&source::blank(&file.text, Keep::CodeAndStrings));
        for (at, code) in codes_in(&text) {
            // The table that includes the pages names every one of them; that is not a use.
            let table = file.path.starts_with("src/report/");
            if !table {
                used.insert(code.clone());
            }
            if !pages.contains(&code) && !file.is_test() {
                let line = source::line_of(&text, at);
                findings.add(
                    &file.path,
                    line,
                    format!("{code} has no page in src/report/codes/"),
                );
            }
        }
    }
    for code in pages.difference(&used) {
        findings.add(
            &format!("src/report/codes/{code}.md"),
            1,
            "nothing reports this code",
        );
    }
    findings
}

/// Every `E` with four digits that stands alone.
fn codes_in(text: &str) -> Vec<(usize, String)> {
    source_words(text, 'E')
        .filter(|(_, word)| word.len() == 5 && word[1..].bytes().all(|b| b.is_ascii_digit()))
        .map(|(at, word)| (at, word.to_string()))
        .collect()
}

fn source_words(text: &str, first: char) -> impl Iterator<Item = (usize, &str)> {
    let bytes = text.as_bytes();
    text.match_indices(first).filter_map(move |(at, _)| {
        if at > 0 && source::is_word(bytes[at - 1]) {
            return None;
        }
        let length = bytes[at..]
            .iter()
            .take_while(|&&b| source::is_word(b))
            .count();
        Some((at, &text[at..at + length]))
    })
}

pub(super) fn links_lead_somewhere(files: &[File]) -> Findings {
    let mut findings = Findings::default();
    for file in files.iter().filter(|f| f.path.ends_with(".md")) {
        let folder = source::root().join(&file.path);
        let folder = folder.parent().expect("a file has a folder");
        for (index, line) in file.text.lines().enumerate() {
            for target in line
                .split("](")
                .skip(1)
                .filter_map(|rest| rest.split(')').next())
            {
                let target = target.split('#').next().unwrap_or_default();
                if target.is_empty() || target.contains("://") || folder.join(target).exists() {
                    continue;
                }
                findings.add(&file.path, index + 1, format!("`{target}` leads nowhere"));
            }
        }
    }
    findings
}

/// The text of one file; nothing if it is not there.
fn text_of<'a>(files: &'a [File], path: &str) -> &'a str {
    let file = files.iter().find(|file| file.path == path);
    file.map_or("", |file| &file.text)
}

/// The two commands: a stranger copies them, so they stand in fenced blocks, and CI runs the second.
pub(super) fn readme_shows_the_two_commands(files: &[File]) -> Findings {
    let mut findings = Findings::default();
    let text = |path| text_of(files, path);
    let fenced: String = text("README.md").split("```").skip(1).step_by(2).collect();
    for command in ["./install.sh", "./tests/run"] {
        if !fenced.contains(command) {
            findings.add(
                "README.md",
                1,
                format!("`{command}` is not in a fenced block"),
            );
        }
    }
    if !text(".ci/run").contains("tests/run") {
        findings.add(".ci/run", 1, "it does not call README's second command");
    }
    findings
}

/// A unit that restarts a server for ever although only a person can help hides what is wrong.
pub(super) fn the_unit_and_the_page_tell_the_exit_codes(files: &[File]) -> Findings {
    let mut findings = Findings::default();
    let text = |path| text_of(files, path);
    // What `run` never ends with is of no interest to systemd.
    let prevented: Vec<String> = ExitCode::ALL
        .iter()
        .filter(|code| !code.restart_may_help())
        .filter(|code| !matches!(code, ExitCode::Done | ExitCode::NotRunning))
        .map(|code| code.number().to_string())
        .collect();
    let line = format!("RestartPreventExitStatus={}", prevented.join(" "));
    if !text("systemd/chrysalis@.service")
        .lines()
        .any(|have| have == line)
    {
        findings.add(
            "systemd/chrysalis@.service",
            1,
            format!("it needs `{line}`"),
        );
    }
    for code in ExitCode::ALL {
        let row = format!("| {} | {} |", code.number(), code.meaning());
        if !text("docs/operating.md").contains(&row) {
            findings.add(
                "docs/operating.md",
                1,
                format!("the table of exit codes needs `{row}`"),
            );
        }
    }
    findings
}

/// The steps of ARCHITECTURE's walks are files or folders of `src/`, and come in their order: each but the first is
/// named by the code of one before it.
pub(super) fn the_walks_lead_through_files(files: &[File]) -> Findings {
    let mut findings = Findings::default();
    let path = "ARCHITECTURE.md";
    let text = files
        .iter()
        .find(|f| f.path == path)
        .map_or("", |f| f.text.as_str());
    for (index, line) in text
        .lines()
        .enumerate()
        .filter(|(_, line)| line.contains(" → "))
    {
        // The first is what is asked for.
        let request = usize::from(line.starts_with("| `"));
        let mut before: Vec<(&str, String)> = Vec::new();
        for step in line.split('`').skip(1).step_by(2).skip(request) {
            let paths = [format!("src/{step}.rs"), format!("src/{step}/mod.rs")];
            let Some(file) = files.iter().find(|file| paths.contains(&file.path)) else {
                findings.add(path, index + 1, format!("`{step}` is no file of src/"));
                continue;
            };
            let names = |(path, code): &(&str, String)| names(path, code, step);
            if !before.is_empty() && !before.iter().any(names) {
                let what = format!("`{step}` is named by no step before it");
                findings.add(path, index + 1, what);
            }
            let code = source::without_tests(&source::blank(&file.text, Keep::Code));
            before.push((&file.path, code));
        }
    }
    findings
}

/// Whether the code of the file at `path` names the module of this step.
fn names(path: &str, code: &str, step: &str) -> bool {
    let has = |text: &str| !source::find_word(code, text).is_empty();
    let Some((folder, name)) = step.rsplit_once('/') else {
        return has(&format!("crate::{step}"));
    };
    let inside = |of: &str| {
        path.strip_prefix("src/")
            .and_then(|path| path.strip_prefix(of))
    };
    let sibling = inside(folder).is_some_and(|rest| rest.starts_with('/'));
    let folder = folder.replace('/', "::");
    let group = format!("{folder}::{{");
    let grouped = code.split(group.as_str()).skip(1).any(|rest| {
        let end = rest.find(';').unwrap_or(rest.len());
        !source::find_word(&rest[..end], name).is_empty()
    });
    let own = has(&format!("mod {name}")) || has(&format!("super::{name}"));
    has(&format!("{folder}::{name}")) || grouped || sibling && own
}

/// A cell with more words is read by nobody: what needs them is text, with a heading.
const CELL_WORDS_MAX: usize = 30;

pub(super) fn cells_of_tables_are_short(files: &[File]) -> Findings {
    let mut findings = Findings::default();
    let documents = files.iter().filter(|f| f.path.ends_with(".md"));
    for file in documents {
        let rows = file.text.lines().enumerate();
        for (index, row) in rows.filter(|(_, line)| line.starts_with("| ")) {
            for cell in row.split(" | ") {
                let words = cell.split_whitespace().filter(|word| *word != "→").count();
                if words > CELL_WORDS_MAX {
                    let what =
                        format!("{words} words in a cell, and {CELL_WORDS_MAX} are the most");
                    findings.add(&file.path, index + 1, what);
                }
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The walks of ARCHITECTURE with each row's steps in another order.
    fn walks(order: impl Fn(&mut Vec<&str>)) -> Findings {
        let mut files = source::all();
        let page = files.iter_mut().find(|file| file.path == "ARCHITECTURE.md");
        let page = page.expect("the page is there");
        let row = |line: &str| {
            let mut steps: Vec<&str> = line.split(" → ").collect();
            order(&mut steps);
            steps.join(" → ")
        };
        let lines: Vec<String> = page.text.lines().map(row).collect();
        page.text = lines.join("\n");
        the_walks_lead_through_files(&files)
    }

    #[test]
    fn a_walk_in_another_order_is_found() {
        assert_eq!(walks(|_| {}).len(), 0);
        assert!(walks(|steps| steps.reverse()).len() > 3);
        let swapped = walks(|steps| {
            let group = steps.iter().position(|step| *step == "`consensus/group`");
            if let Some(group) = group {
                steps.swap(group, group - 1);
            }
        });
        assert_eq!(swapped.len(), 2, "the group before the replica");
    }
}
