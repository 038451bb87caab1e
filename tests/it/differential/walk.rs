//! Random requests to an original ZooKeeper and to ours, each answer compared: what nobody thought of writing into a
//! script.
//!
//! A walk is a script in the scripts' own language, made from a seed, so that a difference that is found can become one.
//! It uses only what both know and both promise: no operations after 3.4, and of events that one command brings no
//! order. Watches and permissions are walked through apart: an original of 3.8.4 or later (and Debian's 3.8.0) keeps
//! events to itself where the watcher may not read, which 3.4 does not.

use super::zookeeper::{Stage, coordinator};
use crate::harness::deployment::Deployment;
use crate::harness::dice::Dice;
use crate::harness::lab;
use crate::harness::originals::ZooKeeper;
use crate::harness::replay::Seeds;

const STEPS: u64 = 300;
const WALKS: u64 = 20;
const CONNECTIONS: [&str; 3] = ["a", "b", "c"];

/// Commands that follow from a seed, in a subtree of their own.
struct Walk {
    dice: Dice,
    root: String,
    /// Watches are set, and everybody may read everything; otherwise the other way round.
    watches: bool,
}

impl Walk {
    fn new(seed: u64) -> Walk {
        Walk {
            dice: Dice::from(seed),
            root: format!("/walk{seed}"),
            watches: seed.is_multiple_of(2),
        }
    }

    fn one_of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        let count = u64::try_from(words.len()).expect("few");
        words[usize::try_from(self.dice.roll(count)).expect("few")]
    }

    fn path(&mut self) -> String {
        let tail = self.one_of(&[
            "", "/a", "/a", "/a", "/a/x", "/a/x", "/a/y", "/a/x/1", "/b", "/b", "/b/x", "/e", "/e",
            "/e/x", "/none", "/", "//x", "/.", "/a/..", "/a/",
        ]);
        match self.dice.roll(60) {
            0 => "\"\"".to_owned(),
            1 => "relative".to_owned(),
            2 => format!("{}/s-000000000{}", self.root, self.dice.roll(10)),
            _ => format!("{}{tail}", self.root),
        }
    }

    fn data(&mut self) -> String {
        let long = "x".repeat(usize::try_from(self.dice.roll(300)).expect("small"));
        match self.dice.roll(5) {
            0 => "null".to_owned(),
            1 => "\"\"".to_owned(),
            2 => format!("d{long}"),
            _ => format!("d{}", self.dice.roll(100)),
        }
    }

    fn version(&mut self) -> String {
        self.one_of(&["-1", "-1", "-1", "0", "0", "1", "2", "-2"])
            .to_owned()
    }

    fn acl(&mut self) -> &'static str {
        if self.watches {
            return self.one_of(&["31:world:anyone", "none", "1:world:anyone,30:auth:"]);
        }
        self.one_of(&[
            "31:world:anyone",
            "31:world:anyone",
            "31:auth:",
            "1:world:anyone",
            "31:digest:u:bad",
            "31:digest:nocolon",
            "31:ip:127.0.0.1",
            "31:ip:10.0.0.0/8",
            "31:ip:300.1.1.1",
            "31:world:nobody",
            "31:what:ever",
            "none",
            "1:world:anyone,30:auth:",
            "5:world:anyone,31:world:anyone",
        ])
    }

    fn flags(&mut self) -> &'static str {
        self.one_of(&["0", "0", "0", "0", "1", "1", "2", "3", "7", "-1"])
    }

    fn create(&mut self, separator: char) -> String {
        let (path, data, flags) = (self.path(), self.data(), self.flags());
        let path = match flags {
            "2" | "3" if self.dice.roll(2) == 0 => format!("{}/s-", self.root),
            _ => path,
        };
        format!("{path}{separator}{data}{separator}{flags}")
    }

    fn part(&mut self) -> String {
        match self.dice.roll(5) {
            0 | 1 => format!("create|{}", self.create('|')),
            2 => format!("delete|{}|{}", self.path(), self.version()),
            3 => format!("set|{}|{}|{}", self.path(), self.data(), self.version()),
            _ => format!("check|{}|{}", self.path(), self.version()),
        }
    }

    fn read(&mut self) -> String {
        let word = self.one_of(&["exists", "get", "ls", "ls2"]);
        let path = self.path();
        // A watch on an empty path is one of the differences.
        let watch = if self.watches && path != "\"\"" && self.dice.roll(2) == 0 {
            " watch"
        } else {
            ""
        };
        format!("{word} {path}{watch}")
    }

    /// What a client does next; several commands where only all of them make sense.
    fn next(&mut self) -> Vec<String> {
        let name = self.one_of(&CONNECTIONS);
        let one = match self.dice.roll(40) {
            0..=8 => {
                let create = self.create(' ');
                match self.dice.roll(3) {
                    0 => format!("create {create} {}", self.acl()),
                    _ => format!("create {create}"),
                }
            }
            9..=13 => format!("delete {} {}", self.path(), self.version()),
            14..=17 => format!("set {} {} {}", self.path(), self.data(), self.version()),
            18..=27 => self.read(),
            28 => format!("getacl {}", self.path()),
            29 => format!("setacl {} {} {}", self.path(), self.acl(), self.version()),
            30 => format!("sync {}", self.path()),
            31..=34 => {
                let parts: Vec<String> = (0..=self.dice.roll(4)).map(|_| self.part()).collect();
                format!("multi {}", parts.join(" "))
            }
            35 => format!("auth digest {}:secret", self.one_of(&["u", "v"])),
            36 if self.watches => {
                let (data, exist, child) = (self.path(), self.path(), self.path());
                let zxid = self.dice.roll(STEPS);
                if [&data, &exist, &child].contains(&&"\"\"".to_owned()) {
                    "ping".to_owned()
                } else {
                    format!("setwatches zxid={zxid} data={data} exist={exist} child={child}")
                }
            }
            37 => return vec![format!("{name} leave"), format!("{name} attach {name}")],
            38 => return vec![format!("{name} close"), format!("{name} connect")],
            _ => "events".to_owned(),
        };
        vec![format!("{name} {one}")]
    }

    fn script(&mut self) -> Vec<String> {
        let mut script: Vec<String> = CONNECTIONS
            .iter()
            .map(|name| format!("{name} connect"))
            .collect();
        script.push(format!("a create {} root", self.root));
        for _ in 0..STEPS {
            script.extend(self.next());
        }
        script.extend(CONNECTIONS.iter().map(|name| format!("{name} events")));
        script
    }
}

/// The answers to one command, with its events in an order of ours.
fn answers(stage: &mut Stage, command: &str) -> Vec<String> {
    let (mut events, mut rest): (Vec<String>, Vec<String>) = stage
        .run(command)
        .into_iter()
        .partition(|line| line.starts_with("event "));
    events.sort();
    events.append(&mut rest);
    events
}

#[test]
fn the_coordinator_answers_as_zookeeper_does_whatever_is_asked() {
    if !lab::full() {
        return;
    }
    let _alone = lab::heavy();
    let (original, ours) = (ZooKeeper::start(), coordinator());
    for seed in Seeds::from(1, WALKS) {
        let mut stages = [original.address(), ours.coordinator()].map(Stage::new);
        let mut played = Vec::new();
        for command in Walk::new(seed).script() {
            let [theirs, own] = stages.each_mut().map(|stage| answers(stage, &command));
            played.push(format!("{command}\n  {}", theirs.join("\n  ")));
            assert!(
                theirs == own,
                "{}\n  ours: {}",
                played[played.len().saturating_sub(40)..].join("\n"),
                own.join("\n  ours: ")
            );
        }
        for stage in stages {
            stage.finish();
        }
    }
}
