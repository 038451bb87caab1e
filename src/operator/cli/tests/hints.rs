//! Commands that messages, pages and documents name are commands that there are.

use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;

use super::super::Arguments;

/// Behind one of these `chrysalis` begins a command and no sentence.
const BEFORE: [&str; 5] = ["`", "(", ": ", "run ", "\n"];

#[test]
fn every_command_that_is_named_is_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![root.join("README.md")];
    for folder in ["src", "docs"] {
        collect(&root.join(folder), &mut files);
    }
    let mut chrysalis = Arguments::command();
    chrysalis.build();
    let (mut seen, mut wrong) = (0, Vec::new());
    for file in files {
        let text = fs::read_to_string(&file).expect("it is text");
        for (at, _) in text.match_indices("chrysalis ") {
            let before = text[..at].trim_end_matches("    ");
            if !BEFORE.iter().any(|ending| before.ends_with(ending)) {
                continue;
            }
            let words = words(&text[at..]);
            seen += usize::from(words.len() > 1);
            if let Err(why) = check(&chrysalis, &words[1..]) {
                wrong.push(format!("{}: {}: {why}", file.display(), words.join(" ")));
            }
        }
    }
    assert!(seen > 100, "only {seen} were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Where nobody knows which server is meant: the documents, and the rules for Prometheus.
const ABOUT_ANY_SERVER: [&str; 2] = ["src/config/document.rs", "src/report/metrics/alarms.rs"];

/// `chrysalis run --accept-loss DIR` was pasted as it stood, by somebody whose server did not start.
#[test]
fn what_is_to_be_pasted_leaves_no_folder_to_be_filled_in() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(&root.join("src"), &mut files);
    let (mut seen, mut wrong) = (0, Vec::new());
    for file in files {
        let name = file.strip_prefix(root).expect("it is below the root");
        let is_code = file.extension().is_some_and(|ending| ending == "rs");
        if !is_code || ABOUT_ANY_SERVER.iter().any(|any| name == Path::new(any)) {
            continue;
        }
        let text = fs::read_to_string(&file).expect("it is text");
        let told: String = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//") && !line.contains("usage ="))
            .flat_map(|line| [line, "\n"])
            .collect();
        for (at, _) in told.match_indices("chrysalis ") {
            let words = words(&told[at..]);
            seen += 1;
            if words.contains(&"DIR") {
                wrong.push(format!("{}: {}", name.display(), words.join(" ")));
            }
        }
    }
    assert!(seen > 100, "only {seen} were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("it is a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path
            .extension()
            .is_some_and(|ending| ending == "rs" || ending == "md")
        {
            files.push(path);
        }
    }
}

/// The words of a command up to where the sentence goes on.
fn words(text: &str) -> Vec<&str> {
    let end = text.find(['`', ')', '"', '\n', ';', ',', '|', '&', '>', '\\', ':']);
    let end = end.unwrap_or(text.len());
    let end = text.find(". ").map_or(end, |stop| stop.min(end));
    text[..end].split_whitespace().collect()
}

fn check(chrysalis: &clap::Command, words: &[&str]) -> Result<(), String> {
    let mut command = chrysalis;
    // What a program fills in, `{options}` glued to a word included.
    let filled_in = |word: &'_ &str| {
        word.trim_end_matches('.')
            .split('{')
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let filled: Vec<String> = words.iter().map(filled_in).collect();
    let mut words = filled
        .iter()
        .map(String::as_str)
        .filter(|word| !word.is_empty());
    let mut rest = Vec::new();
    while command.has_subcommands() {
        let Some(word) = words.next() else {
            return Ok(());
        };
        // A placeholder, such as COMMAND, or what a program fills in.
        if !word.starts_with(|c: char| c.is_ascii_lowercase()) {
            rest.push(word);
            break;
        }
        let known = command.find_subcommand(word);
        command = known.ok_or_else(|| format!("there is no {word}"))?;
    }
    // Behind a lone `--` there are no options.
    let words = rest
        .into_iter()
        .chain(words)
        .take_while(|word| *word != "--");
    for word in words {
        let Some(option) = word.strip_prefix("--").filter(|option| !option.is_empty()) else {
            continue;
        };
        let option = option.split('=').next().unwrap_or_default();
        let is_known = |argument: &clap::Arg| {
            let aliases = argument.get_all_aliases().unwrap_or_default();
            argument.get_long() == Some(option) || aliases.contains(&option)
        };
        let of_program = ["help", "version"].contains(&option);
        if !of_program && !command.get_arguments().any(is_known) {
            return Err(format!("there is no --{option}"));
        }
    }
    Ok(())
}
