//! Installs, upgrades and removals that end anywhere: between any two steps, within one, and with one that fails.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use chrysalis::host::{
    Facts, Kept, Layout, NewServer, Source, Step, Wish, carry_out, plan, removal,
};

use super::Release;
use crate::harness::server::Ports;

/// A prefix, and what is to be installed there, by whoever runs the tests.
struct Prefix {
    release: Release,
    ports: Ports,
}

impl Prefix {
    fn new() -> Prefix {
        let release = Release::bare();
        release.put_stand_in("1.0.0");
        Prefix {
            release,
            ports: Ports::free(),
        }
    }

    fn layout(&self) -> Layout {
        Layout::new(self.release.prefix())
    }

    /// What is to be there, of the version that the release has now.
    fn wish(&self, version: &str) -> Wish {
        Wish {
            layout: self.layout(),
            source: Source {
                path: self.release.file("chrysalis"),
                version: version.to_owned(),
            },
            server: NewServer {
                id: 1,
                coordinator_port: Some(self.ports.coordinator),
                broker_port: Some(self.ports.broker),
                web_port: Some(self.ports.web),
                ..NewServer::default()
            },
            account: None,
            is_started: true,
            umask: 0o022,
        }
    }

    fn steps(&self, version: &str) -> Vec<Step> {
        let planned = plan(&Facts::gather(&self.layout()), &self.wish(version));
        planned.expect("it can be installed here").steps
    }

    fn steps_to_remove(&self) -> Vec<Step> {
        removal(
            &Facts::gather(&self.layout()),
            &self.layout(),
            Kept::default(),
        )
        .steps
    }

    fn install(&self, version: &str) {
        carry_out_all(&self.steps(version));
        assert_eq!(
            self.steps(version),
            [],
            "the second time there is something to do"
        );
    }

    /// What there is, by name.
    fn everything(&self) -> BTreeSet<PathBuf> {
        let found = self.release.everything();
        found
            .into_iter()
            .map(|(path, _changed)| {
                path.strip_prefix(self.release.prefix())
                    .expect("below")
                    .to_owned()
            })
            .collect()
    }

    fn runs(&self) -> bool {
        self.release.server().join("data/running").exists()
    }

    fn leads_to(&self) -> PathBuf {
        fs::read_link(self.layout().program()).expect("it is a link")
    }
}

fn carry_out_all(steps: &[Step]) {
    carry_out(steps, |_told| Ok(())).unwrap_or_else(|failed| panic!("{}", failed.error));
}

/// A step that cannot be made, wherever it stands.
fn a_step_that_fails() -> Step {
    Step::MakeFolder {
        path: PathBuf::from("/proc/there-is-no-folder-to-be-made-here"),
        mode: 0o755,
    }
}

#[test]
fn an_install_that_was_cut_off_between_any_two_steps_goes_on() {
    let whole = Prefix::new();
    whole.install("1.0.0");
    let count = Prefix::new().steps("1.0.0").len();
    assert!(count > 5, "an install has {count} steps");
    for cut in 0..=count {
        let prefix = Prefix::new();
        carry_out_all(&prefix.steps("1.0.0")[..cut]);
        prefix.install("1.0.0");
        assert_eq!(prefix.everything(), whole.everything(), "after {cut} steps");
        assert!(prefix.runs());
    }
}

#[test]
fn an_upgrade_that_was_cut_off_between_any_two_steps_goes_on() {
    let count = {
        let prefix = Prefix::new();
        prefix.install("1.0.0");
        prefix.release.put_stand_in("1.1.0");
        prefix.steps("1.1.0").len()
    };
    assert_eq!(count, 3, "the binary, the link, the server");
    for cut in 0..=count {
        let prefix = Prefix::new();
        prefix.install("1.0.0");
        prefix.release.put_stand_in("1.1.0");
        carry_out_all(&prefix.steps("1.1.0")[..cut]);
        prefix.install("1.1.0");
        assert_eq!(
            prefix.leads_to(),
            Layout::lead("1.1.0"),
            "after {cut} steps"
        );
        assert!(prefix.runs());
    }
}

#[test]
fn a_removal_that_was_cut_off_between_any_two_steps_goes_on() {
    let count = {
        let prefix = Prefix::new();
        prefix.install("1.0.0");
        prefix.steps_to_remove().len()
    };
    for cut in 0..=count {
        let prefix = Prefix::new();
        prefix.install("1.0.0");
        carry_out_all(&prefix.steps_to_remove()[..cut]);
        let layout = prefix.layout();
        let rest = removal(&Facts::gather(&layout), &layout, Kept::default());
        carry_out_all(&rest.steps);
        rest.remove_empty_folders();
        assert!(
            !layout.prefix().exists(),
            "after {cut} steps there is {:?}",
            prefix.everything()
        );
    }
}

#[test]
fn what_an_install_had_made_is_taken_back_whichever_step_fails() {
    let count = Prefix::new().steps("1.0.0").len();
    for at in 0..=count {
        let prefix = Prefix::new();
        let mut steps = prefix.steps("1.0.0");
        steps.insert(at, a_step_that_fails());
        let failed = carry_out(&steps, |_told| Ok(())).expect_err("one fails");
        assert!(
            failed.error.to_string().contains("/proc/there"),
            "{}",
            failed.error
        );
        assert_eq!(failed.left, [""; 0]);
        assert_eq!(
            prefix.everything(),
            BTreeSet::new(),
            "with a failure at {at}"
        );
    }
}

#[test]
fn an_upgrade_goes_back_whichever_step_fails() {
    for at in 0..=3 {
        let prefix = Prefix::new();
        prefix.install("1.0.0");
        let before = prefix.everything();
        prefix.release.put_stand_in("1.1.0");
        let mut steps = prefix.steps("1.1.0");
        steps.insert(at, a_step_that_fails());
        carry_out(&steps, |_told| Ok(())).expect_err("one fails");
        assert_eq!(prefix.everything(), before, "with a failure at {at}");
        assert_eq!(prefix.leads_to(), Layout::lead("1.0.0"));
        assert!(prefix.runs());
    }
}

#[test]
fn a_binary_of_the_same_version_is_put_back() {
    let prefix = Prefix::new();
    prefix.install("1.0.0");
    let binary = prefix.layout().binary("1.0.0");
    let before = fs::read(&binary).expect("it is installed");
    let other = [before.as_slice(), b"# another build\n"].concat();
    fs::write(prefix.release.file("chrysalis"), other).expect("write the stand-in");
    let mut steps = prefix.steps("1.0.0");
    steps.push(a_step_that_fails());
    carry_out(&steps, |_told| Ok(())).expect_err("one fails");
    assert_eq!(fs::read(&binary).expect("it is there"), before);
    assert!(prefix.runs());
}

/// Restored from a backup, say, without its configuration.
#[test]
fn data_that_was_there_is_not_taken_back() {
    let prefix = Prefix::new();
    let message = prefix.release.server().join("data/topics/message");
    fs::create_dir_all(message.parent().expect("it is in a folder")).expect("make a folder");
    fs::write(&message, "precious").expect("write a file");
    prefix.release.put_stand_in("1.0.13");
    let failed = carry_out(&prefix.steps("1.0.13"), |_told| Ok(())).expect_err("it does not start");
    assert!(
        failed.error.to_string().contains("did not start"),
        "{}",
        failed.error
    );
    assert_eq!(failed.left, [""; 0]);
    assert_eq!(
        fs::read_to_string(&message).expect("it is there"),
        "precious"
    );
    assert!(!prefix.release.server().join("conf").exists());
}

#[test]
fn what_stands_in_the_way_is_told_and_stays() {
    let refused = |make: &dyn Fn(&Prefix), why: &str| {
        let prefix = Prefix::new();
        fs::create_dir_all(prefix.release.server()).expect("make a folder");
        make(&prefix);
        let before = prefix.everything();
        let planned = plan(&Facts::gather(&prefix.layout()), &prefix.wish("1.0.0"));
        let told = planned.expect_err("it stands in the way").to_string();
        assert!(told.contains(why), "it does not say `{why}`: {told}");
        assert_eq!(prefix.everything(), before);
    };
    let make_folder = |path: PathBuf| fs::create_dir_all(path).expect("make a folder");
    refused(
        &|it| make_folder(it.layout().program().join("work")),
        "somebody else's",
    );
    refused(
        &|it| symlink("/not/mounted", it.release.server().join("data")).expect("make a link"),
        "leads to /not/mounted, which is not there",
    );
    refused(
        &|it| fs::write(it.release.server().join("logs"), "mine").expect("write a file"),
        "logs is no folder",
    );
    refused(
        &|it| {
            make_folder(it.release.server().join("conf"));
            let conf = it.release.server().join("conf/server.ini");
            fs::write(conf, "[system]\n").expect("write a file");
        },
        "a server of the originals",
    );
}

/// Within a step, too: each is told before it is made, so a kill after its line meets it under way, or just made.
#[test]
fn an_install_that_was_killed_goes_on() {
    let count = Prefix::new().steps("1.0.0").len();
    for line in 1..=count + 1 {
        let prefix = Prefix::new();
        let mut install = install_sh(&prefix);
        let mut running = install
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell starts");
        let told = BufReader::new(running.stdout.take().expect("it is a pipe"));
        // The first line says where to.
        let _heard = told.lines().take(line).count();
        running.kill().expect("it is ours");
        running.wait().expect("it was killed");
        let output = install_sh(&prefix).output().expect("a shell starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "after line {line}: {said}");
        assert_eq!(prefix.steps("1.0.0"), [], "after line {line}");
        assert!(prefix.runs());
    }
}

/// The installer as whoever runs the tests; it is a process of its own, without a shell between.
fn install_sh(prefix: &Prefix) -> Command {
    let mut command = Command::new(prefix.release.file("install.sh"));
    command.arg(format!("--prefix={}", prefix.release.prefix().display()));
    command.args(super::port_options(&prefix.ports));
    command.current_dir(Path::new("/"));
    command
}
