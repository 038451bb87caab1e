//! What may be released, by `packaging/release --check`: one file that runs on any machine.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use crate::harness::server::CHRYSALIS;

/// The error of the check; none if the program may be released.
fn refusal(program: &Path) -> Option<String> {
    let release = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/release");
    let mut check = Command::new(release);
    let output = check.arg("--check").arg(program).output();
    let output = output.expect("it starts");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    (!output.status.success()).then_some(told)
}

#[test]
fn only_a_small_program_that_needs_nothing_of_its_machine_is_released() {
    let home = tempfile::TempDir::new().expect("make a folder");
    let refused = |program: &Path, why: &str| {
        let told = refusal(program).unwrap_or_default();
        assert!(told.contains(why), "{}: {told}", program.display());
    };
    refused(&home.path().join("nothing"), "is not there");
    refused(Path::new("/bin/sh"), "needs an interpreter");
    refused(Path::new(CHRYSALIS), "is not stripped");

    // The smallest program that may be released, and then the same with 20 MB behind it.
    let source = home.path().join("empty.c");
    fs::write(&source, "int main(void) { return 0; }\n").expect("write a program");
    let program = home.path().join("empty");
    let mut compiler = Command::new("cc");
    compiler.args(["-static-pie", "-s", "-o"]);
    let built = compiler.arg(&program).arg(&source).status();
    assert!(built.expect("there is a C compiler").success());
    assert_eq!(refusal(&program), None);
    let file = File::options().write(true).open(&program);
    let file = file.expect("it is a file");
    file.set_len(20_000_001).expect("make it longer");
    refused(&program, "20000000 are the most");
}
