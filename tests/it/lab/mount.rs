//! File systems of our own: in memory, or in a file behind a loop device.

use super::debian::need;
use super::{root, run, seen};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A mounted file system; unmounted and forgotten on drop. Needs root.
pub(crate) struct Mount {
    point: PathBuf,
    /// Holds the mount point, and the image if there is one.
    _home: TempDir,
}

impl Mount {
    /// One in memory; none, and a word why `test` was not seen, where this machine does not let us.
    pub(crate) fn tmpfs(test: &str, bytes: u64) -> Option<Mount> {
        if !root(test) {
            return None;
        }
        let (home, point) = place();
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
            .arg(&point);
        seen(test, &mut mount, "it needs a tmpfs").then(|| Mount { point, _home: home })
    }

    /// One of this type in a sparse file; none, and a word why `test` was not seen, where there is no loop device
    /// or the kernel does not know the type.
    pub(crate) fn image(test: &str, kind: &str, bytes: u64) -> Option<Mount> {
        if !root(test) {
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
        let image = home.path().join("image");
        File::create(&image)
            .and_then(|file| file.set_len(bytes))
            .expect("make the image");
        run(
            Command::new(&make).arg("-q").arg(&image),
            "make a file system",
        );
        let mut mount = Command::new("mount");
        mount
            .args(["-o", "loop", "-t", kind])
            .arg(&image)
            .arg(&point);
        let why = format!("it needs {kind} on a loop device");
        seen(test, &mut mount, &why).then(|| Mount { point, _home: home })
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
