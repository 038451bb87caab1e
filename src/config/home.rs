//! The home folder of the user that runs the server, without the C library.
//!
//! The C library would ask the host's name service, and a static program that loads a module of it dies. So the
//! variable is asked, and then the file that every Linux has. Users that only a directory service knows have `HOME`.

use std::path::PathBuf;

use nix::unistd::{Uid, getuid};

/// The home folder, if the user has one.
pub(super) fn of_this_user() -> Option<PathBuf> {
    let variable = std::env::var_os("HOME").filter(|home| !home.is_empty());
    variable.map(PathBuf::from).or_else(|| {
        let users = std::fs::read_to_string("/etc/passwd").ok()?;
        of_user(getuid(), &users)
    })
}

/// The home folder of `user` among the lines of `/etc/passwd`.
fn of_user(user: Uid, users: &str) -> Option<PathBuf> {
    let number = user.to_string();
    users
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.get(2) == Some(&number.as_str()))
        .and_then(|fields| {
            Some(PathBuf::from(
                fields.get(5).filter(|home| !home.is_empty())?,
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_home_is_the_sixth_field_of_the_line_with_its_number() {
        let users = "root:x:0:0:root:/root:/bin/sh\n# 7\nmeta:x:7:8:Meta, the broker:/srv/meta:/bin/false\nnone:x:9:9::\n";
        let home = |number| of_user(Uid::from_raw(number), users);
        assert_eq!(home(7), Some(PathBuf::from("/srv/meta")));
        assert_eq!(home(8), None, "8 is a group");
        assert_eq!(home(9), None, "its line ends before the home folder");
    }
}
