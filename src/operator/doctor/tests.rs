//! Faults, each of which changes a fact of a server with which nothing is wrong, and the first line that an operator reads then.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::check::Severity;
use super::examination::examine;
use super::facts::Unknown;
use super::{as_json, as_text, checks, document};

// A server with which nothing is wrong.
mod healthy;

use healthy::{healthy, healthy_of_three};

// Each fault, and what is said of it.
mod faults;

use faults::{FAULTS, Fault};

fn examined(fault: &Fault) -> super::Examination {
    let mut facts = (fault.of)();
    (fault.befall)(&mut facts);
    examine(&facts)
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    for facts in [healthy(), healthy_of_three()] {
        let examination = examine(&facts);
        assert!(examination.found.is_empty(), "{:?}", examination.found);
        assert!(
            examination.not_done.is_empty(),
            "{:?}",
            examination.not_done
        );
        let told = as_text(&examination, None);
        assert!(told.starts_with("server1: nothing found: "), "{told}");
    }
}

#[test]
fn the_first_line_of_each_fault_names_its_cause() {
    for fault in FAULTS {
        let examination = examined(fault);
        let first = examination.found.first();
        let first = first.unwrap_or_else(|| panic!("{} finds nothing", fault.check));
        assert_eq!(first.check.name, fault.check, "{:?}", examination.found);
        let told = as_text(&examination, None);
        let line = told.lines().next().unwrap_or_default();
        assert_eq!(line, format!("server1: {}", fault.line), "{}", fault.check);
        assert!(
            !first.finding.cures.is_empty()
                || fault.check.ends_with("says")
                || fault.check.ends_with("note")
        );
    }
}

#[test]
fn a_fault_is_told_once_and_without_its_symptoms() {
    for fault in FAULTS {
        let examination = examined(fault);
        let names: Vec<&str> = examination
            .found
            .iter()
            .map(|found| found.check.name)
            .collect();
        assert_eq!(names.len(), 1, "{}: {names:?}", fault.check);
    }
}

#[test]
fn every_check_has_a_fault_that_triggers_it() {
    let triggered: BTreeSet<&str> = FAULTS.iter().map(|fault| fault.check).collect();
    let all: BTreeSet<&str> = checks::all().map(|check| check.name).collect();
    assert_eq!(triggered, all);
    assert_eq!(
        all.len(),
        checks::all().count(),
        "each has a name of its own"
    );
    assert!(all.len() >= 25);
}

#[test]
fn what_a_check_explains_is_another_check() {
    let all: BTreeSet<&str> = checks::all().map(|check| check.name).collect();
    for check in checks::all() {
        for explained in check.explains {
            assert!(all.contains(explained), "{}: {explained}", check.name);
            assert_ne!(*explained, check.name);
        }
    }
}

/// A word that no server says any more would find nothing for ever.
#[test]
fn the_words_that_are_looked_for_are_those_of_the_server() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = [
        "node/obstacles.rs",
        "node/measures.rs",
        "node/coordinator/ensemble.rs",
        "server/journal_start.rs",
        "server/descriptors.rs",
        "appliance/limits.rs",
        "registry/errand.rs",
    ];
    let texts =
        files.map(|file| fs::read_to_string(root.join(file)).expect("a file of the program"));
    // A sentence goes over lines there.
    let text = texts.concat().replace("\\\n", "");
    let text: Vec<&str> = text.split_whitespace().collect();
    let text = text.join(" ");
    let names: BTreeSet<&str> = checks::all().map(|check| check.name).collect();
    let own = [
        "another broker has this id",
        "was taken by another process",
        "is no broker's",
    ];
    let words = checks::CLAIMED.iter().map(|(words, check)| {
        assert!(names.contains(check), "{check}");
        *words
    });
    for words in words.chain(own) {
        assert!(text.contains(words.trim()), "{words}");
    }
}

#[test]
fn no_quorum_comes_before_a_hint_and_hides_what_follows_from_it() {
    let mut facts = healthy_of_three();
    for name in ["consumer-few-threads", "no-quorum", "not-registered"] {
        let fault = FAULTS.iter().find(|fault| fault.check == name);
        (fault.expect("there is one").befall)(&mut facts);
    }
    let examination = examine(&facts);
    let names: Vec<&str> = examination
        .found
        .iter()
        .map(|found| found.check.name)
        .collect();
    assert_eq!(names, ["no-quorum", "consumer-few-threads"]);
    assert_eq!(examination.worst(), Some(Severity::Broken));
}

#[test]
fn what_could_not_be_looked_at_is_told_with_its_reason() {
    let mut facts = healthy();
    let why = Unknown::Because("only root may".to_owned());
    facts.speed = Err(why.clone());
    facts.files.strangers = Err(why);
    facts.machine.clock = Err(Unknown::DoesNotApply);
    let examination = examine(&facts);
    let told = as_text(&examination, None);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(
        lines[1],
        "not done: files-of-another-user, disk-slow: only root may"
    );
    assert_eq!(lines.len(), 2, "{told}");
    let json = as_json(&[examination]);
    assert_eq!(json["servers"][0]["not_done"][1]["name"], "disk-slow");
    assert_eq!(json["servers"][0]["worst"], serde_json::Value::Null);
}

#[test]
fn json_has_what_the_text_has() {
    let examination = examined(&FAULTS[0]);
    let json = as_json(&[examination]);
    let server = &json["servers"][0];
    assert_eq!(server["name"], "server1");
    assert_eq!(server["folder"], "/srv/server1");
    assert_eq!(server["worst"], "broken");
    let finding = &server["findings"][0];
    assert_eq!(finding["name"], FAULTS[0].check);
    assert_eq!(finding["severity"], "broken");
    assert_eq!(finding["what"], FAULTS[0].line);
    assert!(finding["evidence"].is_array());
    assert_eq!(
        finding["cures"][0]["command"],
        "chrysalis config check --folder /srv/server1"
    );
}

#[test]
fn a_secret_of_the_configuration_is_nowhere() {
    for fault in FAULTS {
        let told = as_text(&examined(fault), None);
        assert!(!told.contains(healthy::SECRET), "{told}");
    }
}

#[test]
fn what_others_wrote_begins_no_line() {
    let mut facts = healthy();
    let status = facts.status.as_mut().expect("it runs");
    status
        .warnings
        .push("one\nserver1: all is well\u{1b}[2J".to_owned());
    let told = as_text(&examine(&facts), Some(80));
    assert!(
        told.starts_with("server1: one\\nserver1: all is well\\u{1b}[2J\n"),
        "{told}"
    );
}

/// `UPDATE=1 cargo test doctor` writes the table anew.
#[test]
fn the_operators_page_has_every_finding() {
    const BEGIN: &str = "<!-- What doctor finds: `UPDATE=1 cargo test doctor` -->\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operating.md");
    let page = fs::read_to_string(&path).expect("the page is there");
    let (before, rest) = page.split_once(BEGIN).expect("the table has its place");
    let end = rest.find("\n\n").expect("something comes behind it") + 1;
    let (table, behind) = rest.split_at(end);
    let now = document::table();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{now}{behind}")).expect("the page can be written");
    } else {
        assert_eq!(table, now, "UPDATE=1 cargo test doctor");
    }
}
