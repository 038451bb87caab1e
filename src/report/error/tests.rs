//! How an error reads.

use std::io;

use super::{Code, Error, ExitCode};

#[derive(Debug, thiserror::Error)]
#[error("open segment 000123")]
struct OpenSegment(#[source] io::Error);

#[test]
fn what_happened_comes_first_then_what_it_means_then_what_to_do() {
    let cause = OpenSegment(io::Error::new(
        io::ErrorKind::PermissionDenied,
        "permission denied",
    ));
    let error = Error::new(Code::E0104, "cannot start")
        .because(cause)
        .means("server2 stays down; the others serve.")
        .cure("Run: ls -l data/topics");
    assert_eq!(
        error.to_string(),
        "E0104 cannot start: open segment 000123: permission denied. server2 stays down; the others serve. \
         Run: ls -l data/topics"
    );
    assert_eq!(error.exit_code(), ExitCode::DiskFailed);
}

#[test]
fn a_list_is_followed_by_lines_of_their_own() {
    let error = Error::new(Code::E0001, "2 mistakes:\na:1: x\na:2: y")
        .means("Nothing was started.")
        .cure("Correct them.");
    assert_eq!(
        error.to_string(),
        "E0001 2 mistakes:\na:1: x\na:2: y\nNothing was started\nCorrect them"
    );
}

#[test]
fn the_cause_is_not_told_twice_in_a_chain() {
    let error =
        Error::new(Code::E0205, "write the journal").because(io::Error::other("no such device"));
    let chain = format!("{:#}", anyhow::Error::new(error).context("run"));
    assert_eq!(chain, "run: E0205 write the journal: no such device");
}

#[test]
fn an_error_that_tells_its_source_itself_is_told_once() {
    #[derive(Debug, thiserror::Error)]
    #[error("read the snapshot: {0}")]
    struct TellsItself(#[source] OpenSegment);

    let cause = TellsItself(OpenSegment(io::Error::other("no such device")));
    assert_eq!(
        super::chain(&cause),
        "read the snapshot: open segment 000123: no such device"
    );
}

#[test]
fn a_question_keeps_its_mark() {
    let error = Error::new(Code::E0303, "there is no topic a; did you mean b?").means("Nothing.");
    assert_eq!(
        error.to_string(),
        "E0303 there is no topic a; did you mean b? Nothing"
    );
}
