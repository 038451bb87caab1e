use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use super::*;

fn lines(target: impl Into<OwnedFd>, form: Form) -> Lines {
    Lines {
        target: Target::File(File::from(target.into())),
        form,
        losses: Box::leak(Box::new(Losses::none())),
    }
}

fn write(lines: &Lines, text: &str) {
    let mut to = lines;
    to.write_all(text.as_bytes()).expect("it never fails");
}

fn lost(lines: &Lines) -> u64 {
    lines.losses.lines.load(Ordering::Relaxed)
}

#[test]
fn a_reader_that_reads_nothing_is_not_waited_for_and_told_later_what_is_missing() {
    let (mut reader, writer) = io::pipe().expect("a pipe");
    let lines = lines(writer, Form::Text);
    let line = format!("{}\n", "x".repeat(999));
    let began = Instant::now();
    for _ in 0..1000 {
        write(&lines, &line);
    }
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "it was waited for"
    );
    // A pipe has 64 KiB.
    assert!((900..=1000).contains(&lost(&lines)), "{}", lost(&lines));
    let missing = lost(&lines);
    let mut taken = vec![0; 60_000];
    reader.read_exact(&mut taken).expect("the first lines");
    write(&lines, "after it\n");
    drop(lines);
    let mut rest = String::new();
    reader.read_to_string(&mut rest).expect("the rest");
    let told = format!("lines={missing} reason=nobody reads them\nafter it\n");
    assert!(rest.ends_with(&told), "{rest}");
    let whole = rest.lines().all(|line| {
        let x = line.bytes().all(|byte| byte == b'x');
        x || line.contains("missing here") || line == "after it"
    });
    assert!(whole, "{rest}");
}

#[test]
fn a_reader_that_is_gone_costs_its_lines() {
    let (reader, writer) = io::pipe().expect("a pipe");
    drop(reader);
    let lines = lines(writer, Form::Text);
    write(&lines, "one\n");
    write(&lines, "two\n");
    assert_eq!(lost(&lines), 2);
    assert_eq!(
        reason(lines.losses.errno.load(Ordering::Relaxed)),
        "Broken pipe (os error 32)"
    );
}

#[test]
fn a_disk_without_room_costs_its_lines() {
    let full = File::options().append(true).open("/dev/full");
    let lines = lines(full.expect("the device"), Form::Json);
    write(&lines, "{}\n");
    assert_eq!(lost(&lines), 1);
    let gap: serde_json::Value = serde_json::from_str(&lines.gap(1)).expect("JSON");
    assert_eq!((&gap["lines"], &gap["level"]), (&1.into(), &"WARN".into()));
    assert_eq!(gap["reason"], "No space left on device (os error 28)");
}

#[test]
fn what_is_longer_than_a_pipe_takes_at_once_arrives_whole() {
    let (mut reader, writer) = io::pipe().expect("a pipe");
    let lines = lines(writer, Form::Syslog);
    let long = format!("{}\n", "y".repeat(50_000));
    write(&lines, &long);
    drop(lines);
    let mut read = String::new();
    reader.read_to_string(&mut read).expect("all of it");
    assert_eq!(read, long);
}
