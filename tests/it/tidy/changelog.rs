//! The changelog's form: releases from the newest to the oldest, sections in one order, entries that are
//! sentences. A program can then cut out what a release says.

use super::Findings;
use super::source::File;

const PATH: &str = "CHANGELOG.md";
const SECTIONS: &[&str] = &[
    "Added",
    "Changed",
    "Deprecated",
    "Removed",
    "Fixed",
    "Security",
];

/// A release's version; none is `[Unreleased]`.
type Version = Option<Vec<u32>>;

pub(super) fn is_well_formed(files: &[File]) -> Findings {
    let mut findings = Findings::default();
    match files.iter().find(|f| f.path == PATH) {
        Some(file) => {
            let (releases, mistakes) = read(&file.text);
            for (line, mistake) in mistakes.into_iter().chain(order(&releases)) {
                findings.add(PATH, line, mistake);
            }
        }
        None => findings.add(PATH, 1, "missing"),
    }
    findings
}

/// Something and the line it was found in.
type AtLine<T> = (usize, T);

/// The releases with their lines, and what is wrong with single lines.
fn read(text: &str) -> (Vec<AtLine<Version>>, Vec<AtLine<String>>) {
    let mut releases = Vec::new();
    let mut mistakes = Vec::new();
    let mut section = None;
    if text.lines().next() != Some("# Changelog") {
        mistakes.push((1, "the first line is `# Changelog`".to_string()));
    }
    let lines: Vec<&str> = text.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        let mut wrong = |what: String| mistakes.push((index + 1, what));
        if let Some(release) = line.strip_prefix("## ") {
            section = None;
            match version(release) {
                Some(version) => releases.push((index + 1, version)),
                None => wrong("a release is `[Unreleased]` or `[1.2.3] - 2026-01-31`".to_string()),
            }
        } else if let Some(name) = line.strip_prefix("### ") {
            let place = SECTIONS.iter().position(|s| *s == name);
            if place.is_none() || place <= section {
                wrong(format!(
                    "sections are these, in this order: {}",
                    SECTIONS.join(", ")
                ));
            }
            section = place;
        } else if line.starts_with("- ") && section.is_none() {
            wrong("an entry stands under a section".to_string());
        } else if (line.starts_with("- ") || line.starts_with("  ")) && !line.ends_with('.') {
            let goes_on = lines
                .get(index + 1)
                .is_some_and(|next| next.starts_with("  "));
            if !goes_on {
                wrong("an entry is a sentence, and ends like one".to_string());
            }
        }
    }
    (releases, mistakes)
}

fn order(releases: &[(usize, Version)]) -> Vec<(usize, String)> {
    let mut mistakes = Vec::new();
    if releases
        .first()
        .is_none_or(|(_, version)| version.is_some())
    {
        mistakes.push((1, "the first release is `[Unreleased]`".to_string()));
    }
    for pair in releases.windows(2) {
        if pair[1].1.is_none() || pair[0].1.is_some() && pair[0].1 <= pair[1].1 {
            mistakes.push((
                pair[1].0,
                "releases go from the newest to the oldest".to_string(),
            ));
        }
    }
    mistakes
}

fn version(heading: &str) -> Option<Version> {
    if heading == "[Unreleased]" {
        return Some(None);
    }
    let (version, date) = heading.strip_prefix('[')?.split_once("] - ")?;
    let numbers: Result<Vec<u32>, _> = version.split('.').map(str::parse).collect();
    let dated = date.len() == 10
        && date.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    numbers
        .ok()
        .filter(|numbers| numbers.len() == 3 && dated)
        .map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(text: &str) -> Vec<usize> {
        let (releases, mut mistakes) = read(text);
        mistakes.extend(order(&releases));
        mistakes.into_iter().map(|(line, _)| line).collect()
    }

    #[test]
    fn a_good_changelog_passes_and_each_mistake_is_found() {
        let head = "# Changelog\n## [Unreleased]\n";
        assert_eq!(
            mistakes(&format!("{head}### Added\n- One\n  thing.\n")),
            [0; 0]
        );
        assert_eq!(mistakes(&format!("{head}- Homeless.\n")), [3]);
        assert_eq!(mistakes(&format!("{head}### Fixed\n### Added\n")), [4]);
        assert_eq!(
            mistakes(&format!("{head}### Fixed\n- half a sentence\n")),
            [4]
        );
        assert_eq!(mistakes(&format!("{head}## [1.0] - 2026-01-01\n")), [3]);
        let releases = "## [1.0.0] - 2026-01-01\n## [1.1.0] - 2026-02-01\n";
        assert_eq!(mistakes(&format!("{head}{releases}")), [4]);
        assert_eq!(mistakes("# Changelog\n"), [1]);
    }
}
