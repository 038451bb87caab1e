//! Who may read a configuration that holds a secret.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::Config;

/// The permission of everybody who is neither the owner nor of the group: to read a file, to enter a folder.
const OTHERS_READ: u32 = 0o004;
const OTHERS_ENTER: u32 = 0o001;

/// Notes for each of the configuration's files that everybody on this machine may read, if there is a secret in them.
pub(super) fn notes(root: &Path, config: &Config) -> Vec<String> {
    let has_secret = (config.coordinator.as_ref()).is_some_and(|own| own.super_digest.is_some());
    if !has_secret {
        return Vec::new();
    }
    let everybody_reads = |file: &Path| {
        others_may(OTHERS_READ, file)
            && file
                .parent()
                .is_some_and(|conf| others_may(OTHERS_ENTER, conf))
    };
    let files = config.source.files.iter();
    files
        .filter(|file| everybody_reads(&root.join(file)))
        .map(|file| {
            format!(
                "{}: every user of this machine can read the secret in it (super_digest): chmod o-rwx {}",
                file.display(),
                root.join(file).display()
            )
        })
        .collect()
}

fn others_may(permission: u32, path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|about| about.permissions().mode() & permission != 0)
}
