//! File systems of our own: in memory, or in a file behind a loop device.
//!
//! They are mounted in a namespace that only the thread of the test and the processes it starts are in. So nobody else on
//! the machine sees or holds them, and they go with the last of those processes, also when the test is killed.

use super::debian::need;
use super::{not_seen, root, run, seen};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::cell::Cell;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Gives this thread a mount namespace of its own, if it has none yet; false, and a word why this test was not seen,
/// where we may not.
pub(crate) fn apart() -> bool {
    thread_local! {
        static APART: Cell<bool> = const { Cell::new(false) };
    }
    if APART.get() {
        return true;
    }
    let none = None::<&str>;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    let made =
        unshare(CloneFlags::CLONE_NEWNS).and_then(|()| mount(none, "/", none, private, none));
    if let Err(error) = made {
        not_seen(&format!("it needs a mount namespace: {error}"));
    }
    APART.set(made.is_ok());
    made.is_ok()
}

/// Shows `file` in the place of another, to this thread and what it starts; only after [`apart`].
pub(crate) fn bind(file: &Path, over: &Path) {
    let none = None::<&str>;
    mount(Some(file), over, none, MsFlags::MS_BIND, none)
        .expect("cover a file in a namespace of our own");
}

/// A mounted file system; unmounted and forgotten on drop. Needs root.
pub(crate) struct Mount {
    point: PathBuf,
    /// Its type.
    kind: &'static str,
    /// Holds the mount point, and the image if there is one.
    home: TempDir,
}

impl Mount {
    /// One in memory; none, and a word why this test was not seen, where this machine does not let us.
    pub(crate) fn tmpfs(bytes: u64) -> Option<Mount> {
        if !root() || !apart() {
            return None;
        }
        let (home, point) = place();
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
            .arg(&point);
        let kind = "tmpfs";
        seen(&mut mount, "it needs a tmpfs").then_some(Mount { point, kind, home })
    }

    /// One of this type in a sparse file; none, and a word why this test was not seen, where there is no loop device
    /// or the kernel does not know the type.
    pub(crate) fn image(kind: &'static str, bytes: u64) -> Option<Mount> {
        if !root() || !apart() {
            return None;
        }
        let package = match kind {
            "ext4" => "e2fsprogs",
            "xfs" => "xfsprogs",
            "btrfs" => "btrfs-progs",
            other => panic!("no file system {other} here"),
        };
        let make = format!("mkfs.{kind}");
        need(&make, package);
        let (home, point) = place();
        let mount = Mount { point, kind, home };
        File::create(mount.image_path())
            .and_then(|file| file.set_len(bytes))
            .expect("make the image");
        run(
            Command::new(&make).arg("-q").arg(mount.image_path()),
            "make a file system",
        );
        let why = format!("it needs {kind} on a loop device");
        seen(&mut mount.attach(), &why).then_some(mount)
    }

    /// The command that mounts the image.
    fn attach(&self) -> Command {
        let mut command = Command::new("mount");
        command
            .args(["-o", "loop", "-t", self.kind])
            .arg(self.image_path())
            .arg(&self.point);
        command
    }

    fn image_path(&self) -> PathBuf {
        self.home.path().join("image")
    }

    /// The power goes: the file system forgets at once what it has not written, and answers with errors.
    /// For ext4 and xfs.
    pub(crate) fn shut_down(&self) {
        need("xfs_io", "xfsprogs");
        run(
            Command::new("xfs_io")
                .args(["-x", "-c", "shutdown"])
                .arg(&self.point),
            "shut a file system down (as root)",
        );
    }

    /// Unmounts it, and mounts it again from its image: what the power cut left is recovered.
    pub(crate) fn mount_again(&self) {
        run(
            Command::new("umount").arg(&self.point),
            "unmount a file system that nobody uses",
        );
        run(&mut self.attach(), "mount it again");
    }

    pub(crate) fn path(&self) -> &Path {
        &self.point
    }
}

fn place() -> (TempDir, PathBuf) {
    let home = TempDir::new().expect("make a folder");
    let point = home.path().join("mounted");
    fs::create_dir(&point).expect("make the mount point");
    (home, point)
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily, so that a server that a failed test left behind does not keep it.
        let _ = Command::new("umount").arg("-l").arg(&self.point).output();
    }
}
