//! File systems of our own: in memory, or in a file behind a loop device.

use super::debian::need;
use super::run;
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
    /// One in memory.
    pub(crate) fn tmpfs(bytes: u64) -> Mount {
        let (home, point) = place();
        run(
            Command::new("mount")
                .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
                .arg(&point),
            "mount a tmpfs (as root)",
        );
        Mount { point, _home: home }
    }

    /// One of this type in a sparse file.
    pub(crate) fn image(kind: &str, bytes: u64) -> Mount {
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
        run(
            Command::new("mount")
                .args(["-o", "loop", "-t", kind])
                .arg(&image)
                .arg(&point),
            "mount it (as root)",
        );
        Mount { point, _home: home }
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
