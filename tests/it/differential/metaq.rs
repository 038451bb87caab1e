//! MetaQ's scripts: a connection's name and a word, or a raw line behind `>`.
//!
//! Told without what differs from run to run: message ids, ports, process facts in `stats`.

use super::{Side, complain, escape, play, scripts, unescape};
use crate::harness::deployment::{Deployment, Topic};
use crate::harness::lab;
use crate::harness::metaq_wire::{Answer, Client, checksum, records};
use crate::harness::originals::{JavaBroker, ZooKeeper};
use crate::harness::server::{Server, set_key};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

const TOPICS: &[Topic] = &[
    ("alpha", 4),
    ("beta", 1),
    ("gamma", 2),
    ("stat", 2),
    ("delta", 4),
];

/// Both sides are broker 1, because texts have the number in them.
const ID: u16 = 1;

/// Items of `stats` whose values are another machine's, another process's or another clock's.
const VOLATILE: &[&str] = &[
    "pid",
    "port",
    "uptime",
    "version",
    "curr_connections",
    "threads",
    "config_checksum",
    "total_messages",
];

struct Stage {
    address: SocketAddr,
    connections: BTreeMap<String, Client>,
}

impl Stage {
    fn connection(&mut self, name: &str) -> &mut Client {
        let address = self.address;
        self.connections
            .entry(name.to_owned())
            .or_insert_with(|| Client::connect(address))
    }

    fn tell(&self, answer: std::io::Result<Answer>) -> String {
        match answer {
            Err(_) => "closed".to_owned(),
            Ok(Answer::Value { bytes, .. }) => {
                let (found, length) = records(&bytes);
                let told: Vec<String> = found
                    .iter()
                    .map(|record| {
                        let sound = if record.sound { "" } else { " unsound" };
                        format!("[flag {} {}{sound}]", record.flag, escape(&record.data))
                    })
                    .collect();
                format!(
                    "value {} {} rest {}",
                    bytes.len(),
                    told.join(" "),
                    bytes.len() - length
                )
            }
            Ok(Answer::Result { code, text, .. }) => {
                let address = self.address.to_string();
                if text.starts_with("STATS\r\n") {
                    return format!("result {code} STATS");
                }
                if text.split('.').count() > 1
                    && text.split('.').all(|part| part.parse::<u32>().is_ok())
                {
                    return format!("result {code} VERSION");
                }
                let numbers: Vec<&str> = text.split(' ').collect();
                if let [id, partition, offset] = numbers[..]
                    && numbers.iter().all(|number| number.parse::<i64>().is_ok())
                {
                    // The id is the broker's own affair.
                    assert_ne!(id.parse(), Ok(-1_i64), "an id that means none");
                    return format!("result {code} ID {partition} {offset}");
                }
                format!(
                    "result {code} {}",
                    escape(text.replace(&address, "BROKER").as_bytes())
                )
            }
        }
    }

    fn run(&mut self, line: &str) -> Vec<String> {
        let (name, rest) = line
            .split_once(' ')
            .expect("a connection's name and a word");
        // A raw request, to which `OPAQUE` and a line end are added where they stand.
        if let Some(raw) = rest.strip_prefix("> ") {
            let bytes = unescape(raw);
            let client = self.connection(name);
            return match client.send(&bytes).and_then(|()| client.receive()) {
                Ok(answer) => {
                    let (Answer::Result { opaque, .. } | Answer::Value { opaque, .. }) = &answer;
                    vec![format!(
                        "{} (opaque {opaque})",
                        self.tell(Ok(answer.clone()))
                    )]
                }
                Err(_) => vec!["closed".to_owned()],
            };
        }
        let words: Vec<&str> = rest.split(' ').collect();
        match words[0] {
            "put" => {
                let data = unescape(words[3]);
                let flag = words.get(4).unwrap_or(&"0");
                let sum = match words.get(5) {
                    None | Some(&"right") => format!(" {}", checksum(&data)),
                    Some(&"without") => String::new(),
                    Some(other) => format!(" {other}"),
                };
                let request = format!("put {} {} {} {flag}{sum}", words[1], words[2], data.len());
                let answer = self.connection(name).try_call(&request, &data);
                let told = self.tell(answer);
                // The broker's choice is one of chance.
                let told = if words[2] == "-1" && told.starts_with("result 200 ") {
                    "result 200 ID somewhere".to_owned()
                } else {
                    told
                };
                vec![told]
            }
            "get" | "offset" | "version" => {
                let answer = self.connection(name).try_call(rest, b"");
                let told = self.tell(answer);
                vec![
                    if words[0] == "version" && told.starts_with("result 200 ") {
                        "result 200 VERSION".to_owned()
                    } else {
                        told
                    },
                ]
            }
            "stats" => {
                let request = if words.len() > 1 {
                    rest.to_owned()
                } else {
                    "stats ".to_owned()
                };
                match self.connection(name).try_call(&request, b"") {
                    Ok(Answer::Result { code, text, .. }) => {
                        let mut told = vec![format!("result {code}")];
                        told.extend(text.trim_end().split("\r\n").map(still));
                        told
                    }
                    other => vec![self.tell(other)],
                }
            }
            // Only the lines that begin with a word, sorted: the other topics and their order are not this script's affair.
            "stats-lines" => match self
                .connection(name)
                .try_call(&format!("stats {}", words[1]), b"")
            {
                Ok(Answer::Result { text, .. }) => {
                    let prefix = format!("{} ", words[2]);
                    let mut told: Vec<String> = text
                        .split("\r\n")
                        .filter(|line| line.starts_with(&prefix))
                        .map(str::to_owned)
                        .collect();
                    told.sort();
                    told
                }
                other => vec![self.tell(other)],
            },
            "stats-keys" => match self
                .connection(name)
                .try_call(&format!("stats {}", words.get(1).unwrap_or(&"")), b"")
            {
                Ok(Answer::Result { text, .. }) => {
                    let keys: Vec<&str> = text
                        .split("\r\n")
                        .filter_map(|line| line.split(' ').next())
                        .filter(|key| !key.is_empty())
                        .collect();
                    vec![keys.join(" ")]
                }
                other => vec![self.tell(other)],
            },
            "send" => {
                let bytes = unescape(words[1]);
                let _ = self.connection(name).send(&bytes);
                Vec::new()
            }
            "receive" => {
                let answer = self.connection(name).receive();
                vec![self.tell(answer)]
            }
            "closed" => vec![self.connection(name).is_closed().to_string()],
            "silent" => vec![
                self.connection(name)
                    .is_silent(Duration::from_millis(300))
                    .to_string(),
            ],
            _ => panic!("no such command: {line}"),
        }
    }
}

/// A line of `stats` without what moves.
fn still(line: &str) -> String {
    let (key, value) = line.split_once(' ').unwrap_or((line, ""));
    let pieces: Vec<&str> = value.split(',').collect();
    if let [count, sum, _, _, duration] = pieces[..]
        && duration.starts_with("Duration=")
    {
        // Rates depend on how fast the script was played; times on the machine.
        format!(
            "{key} {count} {}",
            if key.ends_with("_size") { sum } else { "*" }
        )
    } else if VOLATILE.contains(&key) {
        format!("{key} *")
    } else {
        line.to_owned()
    }
}

fn play_all(address: SocketAddr, side: Side) {
    let mut differences = Vec::new();
    for script in scripts("metaq") {
        let mut stage = Stage {
            address,
            connections: BTreeMap::new(),
        };
        differences.extend(play(&script, side, |line| stage.run(line)));
    }
    complain(&differences);
}

#[test]
fn the_broker_answers_as_metaq_does() {
    let server = Server::start_with(TOPICS, |config| {
        set_key(config, "broker", "statistics", "true");
        set_key(config, "broker", "update_consumer_offsets", "true");
    });
    play_all(server.broker(), Side::Ours);
}

#[test]
fn metaq_answers_as_the_scripts_say() {
    if !lab::full() {
        return;
    }
    let _alone = lab::heavy();
    let zookeeper = ZooKeeper::start();
    let broker = JavaBroker::start(zookeeper.address(), ID, TOPICS);
    play_all(broker.address(), Side::Original);
}
