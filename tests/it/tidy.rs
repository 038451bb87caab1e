//! Promises that Cargo cannot keep: layers, purity, names, documents.
//!
//! Each test lists every place that breaks its rule, with the rule beside it. The rules serve the code:
//! where one makes a piece of code worse, change the rule here and say why in the commit.

mod changelog;
mod code;
mod documents;
mod layers;
mod sentences;
mod source;

use source::File;

/// What one rule found.
#[derive(Default)]
struct Findings {
    places: Vec<String>,
    note: Option<String>,
}

impl Findings {
    fn add(&mut self, path: &str, line: usize, what: impl Into<String>) {
        self.places.push(format!("{path}:{line}: {}", what.into()));
    }

    fn note(&mut self, note: String) {
        self.note = Some(note);
    }

    fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.places.len()
    }
}

fn check(rule: impl Fn(&[File]) -> Findings) {
    let findings = rule(&source::all());
    let note = findings.note.as_deref().unwrap_or("");
    assert!(
        findings.is_empty(),
        "\n{}\n{note}",
        findings.places.join("\n")
    );
}

#[test]
fn imports_obey_the_layer_table() {
    check(layers::imports_obey_the_table);
}

#[test]
fn cores_know_no_clock_file_socket_thread_environment_or_chance() {
    check(layers::cores_know_no_world);
}

#[test]
fn unsafe_stays_in_the_ring() {
    check(layers::unsafe_stays_in_the_ring);
}

#[test]
fn every_error_code_has_a_page_and_every_page_is_used() {
    check(documents::every_error_code_has_a_page);
}

#[test]
fn one_thing_is_not_told_as_several() {
    check(sentences::one_thing_is_not_several);
}

#[test]
fn every_golden_file_is_used() {
    check(code::every_golden_file_is_used);
}

#[test]
fn the_changelog_is_well_formed() {
    check(changelog::is_well_formed);
}

#[test]
fn nothing_is_unfinished() {
    check(code::nothing_is_unfinished);
}

#[test]
fn names_say_what_a_thing_is() {
    check(code::names_say_what_a_thing_is);
}

#[test]
fn what_is_long_does_not_grow() {
    check(code::what_is_long_does_not_grow);
}

#[test]
fn no_path_of_one_machine_is_in_the_tree() {
    check(code::no_path_of_a_machine);
}

#[test]
fn shell_scripts_parse() {
    check(code::shell_scripts_parse);
}

#[test]
fn links_in_documents_lead_somewhere() {
    check(documents::links_lead_somewhere);
}

#[test]
fn readme_shows_the_two_commands_and_ci_runs_the_second() {
    check(documents::readme_shows_the_two_commands);
}

#[test]
fn the_unit_and_the_operators_page_tell_the_exit_codes() {
    check(documents::the_unit_and_the_page_tell_the_exit_codes);
}

#[test]
fn the_walks_lead_through_files() {
    check(documents::the_walks_lead_through_files);
}

#[test]
fn cells_of_tables_are_short() {
    check(documents::cells_of_tables_are_short);
}
