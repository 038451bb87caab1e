//! One process per folder.

use std::fs;

use tempfile::TempDir;

use super::*;

#[test]
fn a_second_lock_is_refused_and_names_the_first() {
    let home = TempDir::new().expect("make a folder");
    let path = home.path().join("chrysalis.pid");
    assert_eq!(PidFile::holder(&path).expect("look"), None);

    let lock = PidFile::lock(&path).expect("it is free");
    let own = Some(std::process::id());
    assert!(matches!(PidFile::lock(&path), Err(LockError::Held(pid)) if pid == own));
    assert_eq!(
        PidFile::holder(&path).expect("look"),
        Some(Holder { pid: own })
    );

    drop(lock);
    assert_eq!(
        PidFile::holder(&path).expect("look"),
        None,
        "the file that is left hinders nobody"
    );
    PidFile::lock(&path).expect("it is free again");
}

#[test]
fn what_a_crash_left_behind_is_overwritten() {
    let home = TempDir::new().expect("make a folder");
    let path = home.path().join("chrysalis.pid");
    fs::write(&path, "123456789012345678901234567890 and more\n").expect("write it");
    let _lock = PidFile::lock(&path).expect("nobody holds it");
    let text = fs::read_to_string(&path).expect("it is there");
    assert_eq!(text, format!("{}\n", std::process::id()));
}

#[test]
fn a_process_that_does_not_have_the_file_open_is_not_signalled() {
    let home = TempDir::new().expect("make a folder");
    let path = home.path().join("chrysalis.pid");
    let _lock = PidFile::lock(&path).expect("it is free");
    assert!(has_open(std::process::id(), &path));
    // As in another container, where our number is somebody else's: the init process has not opened it.
    fs::write(&path, "1\n").expect("write it");
    let error = signal_to_stop(&path).expect_err("process 1 is not the server");
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

#[test]
fn nobody_is_signalled_where_nobody_serves() {
    let home = TempDir::new().expect("make a folder");
    assert!(signal_to_stop(&home.path().join("chrysalis.pid")).is_err());
}
