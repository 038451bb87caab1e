//! systemd's units, and the scripts with the originals' names: files that the program brings along.

use std::path::Path;

use super::layout::Layout;

/// Where an administrator's units lie.
pub(super) const FOLDER: &str = "/etc/systemd/system";
/// All servers of a host.
pub(super) const TARGET: &str = "chrysalis.target";
/// The unit that each server's is made from.
pub(super) const TEMPLATE: &str = "chrysalis@.service";

/// The account that servers run as, unless another one is named.
pub const ACCOUNT: &str = "chrysalis";

const TEMPLATE_TEXT: &str = include_str!("../../systemd/chrysalis@.service");
const TARGET_TEXT: &str = include_str!("../../systemd/chrysalis.target");

/// The scripts of a server's `bin/`.
pub(super) const SCRIPTS: [(&str, &str); 4] = [
    ("env.sh", include_str!("../../packaging/server-bin/env.sh")),
    (
        "metaServer.sh",
        include_str!("../../packaging/server-bin/metaServer.sh"),
    ),
    (
        "zkServer.sh",
        include_str!("../../packaging/server-bin/zkServer.sh"),
    ),
    (
        "zkCli.sh",
        include_str!("../../packaging/server-bin/zkCli.sh"),
    ),
];

/// The unit of the server with this number.
pub(super) fn unit(id: u16) -> String {
    format!("chrysalis@server{id}.service")
}

/// Both files, by name, for servers below this prefix that run as this account, which is of this group.
pub(super) fn files(layout: &Layout, account: &str, group: &str) -> [(&'static str, String); 2] {
    let prefix = layout.prefix().display().to_string();
    let service = TEMPLATE_TEXT
        .replace("@PREFIX@", &prefix)
        .replace("\nUser=chrysalis\n", &format!("\nUser={account}\n"))
        .replace("\nGroup=chrysalis\n", &format!("\nGroup={group}\n"));
    [(TEMPLATE, service), (TARGET, TARGET_TEXT.to_owned())]
}

/// What a unit file that is there says: the prefix of its servers, and whom they run as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Says {
    pub(super) prefix: Option<String>,
    pub(super) account: Option<String>,
}

impl Says {
    pub(super) fn of(text: &str) -> Says {
        let mut says = Says::default();
        for line in text.lines() {
            if let Some(command) = line.strip_prefix("ExecStart=") {
                let (prefix, _) = command
                    .split_once("/bin/chrysalis run ")
                    .unwrap_or_default();
                says.prefix = Some(prefix.to_owned());
            }
            if let Some(account) = line.strip_prefix("User=") {
                says.account = Some(account.to_owned());
            }
        }
        says
    }
}

/// Unit files name the prefix, and there a blank or a percent sign means something else.
pub(super) fn may_name(prefix: &Path) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./+@:,-".contains(c);
    prefix.to_str().is_some_and(|text| text.chars().all(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_says_whose_servers_it_runs() {
        let layout = Layout::new("/srv/queue");
        let [(_, service), _] = files(&layout, "meta", "staff");
        assert!(!service.contains("@PREFIX@"), "{service}");
        assert!(service.contains("\nGroup=staff\n"), "{service}");
        let says = Says::of(&service);
        assert_eq!(says.prefix.as_deref(), Some("/srv/queue"));
        assert_eq!(says.account.as_deref(), Some("meta"));
        assert_eq!(Says::of("[Unit]\n"), Says::default());
    }

    #[test]
    fn a_unit_may_name_a_plain_folder_only() {
        assert!(may_name(Path::new("/opt/chrysalis-1_2")));
        for odd in ["/opt/my servers", "/opt/100%", "/opt/a\nb", "/opt/$HOME"] {
            assert!(!may_name(Path::new(odd)), "{odd}");
        }
    }
}
