//! An examination for people: the worst first, in one sentence, then what shows it and what cures it.

use std::fmt::Write as _;

use super::examination::{Examination, Found};
use crate::operator::escaped;
use crate::operator::text::wrap;
use crate::units::counted;

/// All of it, in lines of at most so many columns, or where nobody says how many there are, with a line for each sentence.
pub fn as_text(examination: &Examination, columns: Option<usize>) -> String {
    let columns = columns.unwrap_or(usize::MAX);
    let name = examination.folder.name();
    let done = counted(examination.done, "checks");
    let mut text = String::new();
    if examination.found.is_empty() {
        let _ = writeln!(text, "{name}: nothing found: {done}");
    }
    for found in &examination.found {
        push(found, &name, columns, &mut text);
    }
    if !examination.found.is_empty() {
        let _ = writeln!(text, "{done} done");
    }
    push_not_done(examination, columns, &mut text);
    text
}

fn push(found: &Found, name: &str, columns: usize, text: &mut String) {
    let (check, finding) = (found.check, &found.finding);
    let sentence = format!("{name}: {}", in_a_line(&finding.what));
    let _ = writeln!(text, "{}", wrap(&sentence, columns, 0, 2));
    let _ = writeln!(text, "  {}: {}", check.severity, check.name);
    for line in &finding.evidence {
        let _ = writeln!(text, "  {}", wrap(&in_a_line(line), columns, 2, 4));
    }
    for cure in &finding.cures {
        match &cure.command {
            // A command has a line of its own, so that it can be pasted.
            Some(command) => {
                let _ = writeln!(text, "  {}:", wrap(&in_a_line(&cure.what), columns, 2, 4));
                let _ = writeln!(text, "      {}", escaped::on_a_terminal(command.as_bytes()));
            }
            None => {
                let _ = writeln!(text, "  {}", wrap(&in_a_line(&cure.what), columns, 2, 4));
            }
        }
    }
    text.push('\n');
}

/// What others have written is not to steer a terminal.
fn in_a_line(text: &str) -> String {
    escaped::in_a_line(text.as_bytes())
}

/// Which checks were not done: those with one reason together.
fn push_not_done(examination: &Examination, columns: usize, text: &mut String) {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for (check, why) in &examination.not_done {
        match reasons.iter_mut().find(|(reason, _)| reason == why) {
            Some((_, names)) => names.push(check.name),
            None => reasons.push((why, vec![check.name])),
        }
    }
    for (why, names) in reasons {
        let line = format!("not done: {}: {}", names.join(", "), in_a_line(why));
        let _ = writeln!(text, "{}", wrap(&line, columns, 0, 2));
    }
}
