//! Transcripts: a command, dashes, everything that happened.
//!
//! `UPDATE=1 cargo test --lib broker` writes them anew; read the difference as a specification.
//!
//! ```text
//!   options [segment=N] [hold=MS] [plain] [no_turns] [no_positions=GROUP] [limit=N] [update_offsets] [utc=S] [low=N] [retry=MS] [entry=N]
//!           [per_connection=N] [topic=NAME:PARTITIONS[:key=value...]]...     begins with a new server
//!           topic keys: stat, no_publish, policy=P, when=CRON (_ for a blank), bytes=N
//!   connect C     disconnect C
//!   put C #O TOPIC PARTITION DATA [flag=N] [checksum=N] [tx=KEY] [times=N]       DATA *N: N bytes
//!   get C #O TOPIC GROUP PARTITION OFFSET|max [MAX]     offset C #O TOPIC GROUP PARTITION OFFSET
//!   version C #O    stats C #O [ITEM]    transaction C #O STEP    sync C #O    quit C
//!   own GROUP TOPIC PARTITION [CONSUMER]      nobody when no consumer is named
//!   told GROUP TOPIC PARTITION OFFSET          the group's position in ZooKeeper
//!   elsewhere CONSUMER [BROKER]...             it owns partitions of other brokers too
//!   meet S    part S                           there is a connection to server S, or none any more
//!   wanted S GROUP CONSUMER                    the broker of server S wants a thread of it
//!   counts S BROKER [asks] [PROCESS:SENT:OUT]...   it tells what it has sent, and has heard all from here
//!   answers S BROKER [PROCESS:SENT:OUT]...     it does so whenever it is asked; without more it is silent
//!   wait MS                                    time passes
//!   hold|let commits|writes|syncs|owners       they wait until they are let
//!   together COMMAND; COMMAND; ...             within one turn
//!   disk full|free   space N   pressure [disk] [journal]
//!   close TOPIC FIRST LAST   open TOPIC   reload topic=...
//!   checkpoint   kill   cut N   start [accept_loss]   lead   depose
//!   files   operations   journal   status   consumers   describe TOPIC   dump FILE
//!   flip FILE POSITION   shorten FILE BYTES   append FILE HEX   remove FILE
//! ```
//!
//! A message id is shown as `+MS.SEQUENCE`, milliseconds since the test began.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;

use super::harness::{File, Path, WALL_START, World, short_name};
use super::words;
use crate::broker::command::{Command, Commands};
use crate::broker::word::Word;
use crate::broker::{
    Effect, Event, Get, Name, OffsetQuery, Options, Pressure, Put, Reply, Request, Section,
    Settings, Sync, Topics, Transaction, TransactionStep, Wish,
};
use crate::segments::FileOperation;
use crate::segments::dump::{self, Entry};
use crate::segments::format::{Next, next_record};
use crate::segments::retention::Policy;
use crate::tests::transcript::{happen, scripts};
use crate::units::{ConnectionId, Random, Seed, ServerId};

scripts! {
    "src/broker/scripts":
    adoption, checkpoints, closed_partitions, damage, full_disk, get_decisions, not_yet_visible,
    order_of_a_connection, pacing, purge, put_admission, reload, restart, retention, rolling, stats,
    topic_detail, verification, waiting_beside, waiting_holds, waiting_off, waiting_room, waiting_turns => play;
}

fn play(script: &str) -> String {
    let mut runner = Runner::new("topic=test:2");
    happen(script, |command| runner.command(command))
}

struct Runner {
    world: World,
    /// Files that were renamed away, as archived ones are.
    out: Vec<String>,
    /// What brokers answer who are asked for counts.
    answers: BTreeMap<ServerId, Vec<String>>,
}

fn options(words: &str) -> Options {
    let mut options = Options::new(
        ServerId(7),
        "meta://10.0.0.1:8123".to_owned(),
        8123,
        topics(words),
    );
    options.version = "test".to_owned();
    options.pid = 4242;
    for word in words.split_whitespace() {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        let number = || value.parse::<u64>().expect("a number");
        match key {
            "segment" => options.segment_bytes_max = number(),
            "hold" => options.waiting.hold_max = Duration::from_millis(number()),
            "plain" => options.waiting.enabled = false,
            "no_turns" => options.waiting.turns = false,
            "no_positions" => options
                .waiting
                .turns_without_positions
                .push(value.to_owned()),
            "limit" => options.message_bytes_max = usize::try_from(number()).unwrap(),
            "entry" => options.entry_bytes_max = usize::try_from(number()).unwrap(),
            "in_flight" => options.in_flight_bytes_max = usize::try_from(number()).unwrap(),
            "per_connection" => {
                options.waiting.held_per_connection_max = usize::try_from(number()).unwrap();
            }
            "update_offsets" => options.update_consumer_offsets = true,
            "low" => options.free_bytes_low = Some(number()),
            "retry" => options.disk_full_retry = Duration::from_millis(number()),
            "topic" | "utc" => {}
            _ => panic!("no option {key}"),
        }
    }
    options
}

fn topics(words: &str) -> Topics {
    let mut topics = Topics::plain(&[]);
    topics.config_text = Bytes::from_static(b"[system]\nbrokerId=7\n");
    topics.config_checksum = 1_064_735_991;
    for word in words.split_whitespace() {
        let Some(topic) = word.strip_prefix("topic=") else {
            continue;
        };
        let mut fields = topic.split(':');
        let pattern = fields.next().unwrap().to_owned();
        let partitions = fields.next().unwrap().parse().unwrap();
        let mut settings = Settings {
            partitions,
            ..Settings::default()
        };
        let (mut policy, mut when) = ("delete,168".to_owned(), "0 0 6,18 * * ?".to_owned());
        for field in fields {
            match field.split_once('=').unwrap_or((field, "")) {
                ("stat", _) => settings.stat = true,
                ("no_publish", _) => settings.accept_publish = false,
                ("policy", value) => value.clone_into(&mut policy),
                ("when", value) => when = value.replace('_', " "),
                ("bytes", value) => {
                    settings.retention.partition_bytes_max = Some(value.parse().unwrap());
                }
                (key, _) => panic!("no topic key {key}"),
            }
        }
        let bytes = settings.retention.partition_bytes_max;
        settings.retention = Policy::parse(&policy, &when).unwrap();
        settings.retention.partition_bytes_max = bytes;
        topics.sections.push(Section { pattern, settings });
    }
    topics
}

fn name(word: &str) -> Name {
    Name::from(word)
}

impl Runner {
    fn new(words: &str) -> Runner {
        let mut world = World::new(options(words), Seed(1));
        let utc = words
            .split_whitespace()
            .find_map(|word| word.strip_prefix("utc="));
        world.utc_offset_s = utc.map_or(0, |value| value.parse().unwrap());
        Runner {
            world,
            out: Vec::new(),
            answers: BTreeMap::new(),
        }
    }

    fn command(&mut self, line: &str) -> Vec<String> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        if verb == "options" {
            *self = Runner::new(rest);
        } else if verb == "together" {
            for command in rest.split(';') {
                self.one(command.trim());
            }
            self.world.turn();
        } else {
            self.one(line);
            self.world.turn();
        }
        self.tell();
        std::mem::take(&mut self.out)
    }

    fn one(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let option = |key: &str| {
            words
                .iter()
                .find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
        };
        let connection = |index: usize| words[index].parse::<u64>().expect("a connection");
        let opaque = || -> i32 { words[2].trim_start_matches('#').parse().expect("an opaque") };
        let world = &mut self.world;
        match words[0] {
            "connect" => {
                world.event(Event::Connected {
                    connection: ConnectionId(connection(1)),
                });
            }
            "disconnect" => {
                world.event(Event::Disconnected {
                    connection: ConnectionId(connection(1)),
                });
            }
            "put" => {
                let data = match words[5].strip_prefix('*') {
                    Some(bytes) => vec![b'x'; bytes.parse().unwrap()],
                    None if words[5] == "\"\"" => Vec::new(),
                    None => words[5].as_bytes().to_vec(),
                };
                let times = option("times").map_or(1, |times| times.parse::<i32>().unwrap());
                for nth in 0..times {
                    let put = Put {
                        topic: name(words[3]),
                        partition: words[4].parse().unwrap(),
                        flag: option("flag").map_or(0, |flag| flag.parse().unwrap()),
                        checksum: option("checksum").map_or(-1, |sum| sum.parse().unwrap()),
                        transaction: option("tx").map(name),
                        data: Bytes::from(data.clone()),
                    };
                    world.request(connection(1), opaque() + nth, Request::Put(put));
                }
            }
            "get" => {
                let get = Get {
                    topic: name(words[3]),
                    group: name(words[4]),
                    partition: words[5].parse().unwrap(),
                    offset: if words[6] == "max" {
                        i64::MAX
                    } else {
                        words[6].parse().unwrap()
                    },
                    max_size: words.get(7).map_or(1 << 20, |max| max.parse().unwrap()),
                };
                world.request(connection(1), opaque(), Request::Get(get));
            }
            "offset" => {
                let query = OffsetQuery {
                    topic: name(words[3]),
                    group: name(words[4]),
                    partition: words[5].parse().unwrap(),
                    offset: words[6].parse().unwrap(),
                };
                world.request(connection(1), opaque(), Request::Offset(query));
            }
            "version" => world.request(connection(1), opaque(), Request::Version),
            "stats" => {
                let item = name(words.get(3).copied().unwrap_or(""));
                world.request(connection(1), opaque(), Request::Stats { item });
            }
            "transaction" => {
                let step = match words[3] {
                    "begin" => TransactionStep::Begin,
                    "commit" => TransactionStep::CommitOnePhase,
                    "end" => TransactionStep::End,
                    other => panic!("no step {other}"),
                };
                let transaction = Transaction {
                    key: name("TX:h-1-1:1"),
                    session: name("h-1-1"),
                    step,
                    timeout_s: None,
                    unique_qualifier: None,
                };
                world.request(connection(1), opaque(), Request::Transaction(transaction));
            }
            "sync" => {
                let sync = Sync {
                    topic: name("test"),
                    partition: 0,
                    flag: 0,
                    message_id: 1,
                    checksum: -1,
                    data: Bytes::new(),
                };
                world.request(connection(1), opaque(), Request::Sync(sync));
            }
            "quit" => world.request(connection(1), 0, Request::Quit),
            "own" => {
                let key = (
                    words[1].to_owned(),
                    words[2].to_owned(),
                    words[3].parse().unwrap(),
                );
                match words.get(4) {
                    Some(consumer) => world.owners.insert(key, (*consumer).to_owned()),
                    None => world.owners.remove(&key),
                };
            }
            "told" => {
                let key = (
                    words[1].to_owned(),
                    words[2].to_owned(),
                    words[3].parse().unwrap(),
                );
                world.positions.insert(key, words[4].parse().unwrap());
            }
            "elsewhere" => {
                // A broker that nobody has met, unless they are named.
                let brokers = words[2..].iter().map(|id| id.parse().expect("an id"));
                let mut brokers: BTreeSet<_> = brokers.map(|id| Some(ServerId(id))).collect();
                if brokers.is_empty() {
                    brokers.insert(Some(ServerId(99)));
                }
                world.elsewhere.insert(words[1].to_owned(), brokers);
            }
            "meet" | "part" | "wanted" => world.event(words::event(&words)),
            "answers" => self.answers(&words),
            "counts" => {
                let from = ServerId(words[1].parse().unwrap());
                let word = words::counts(world.now, &words[2..]);
                world.event(Event::Told { from, word });
            }
            "wait" => self.wait(words[1].parse().unwrap()),
            "hold" | "let" => {
                let hold = words[0] == "hold";
                match words[1] {
                    "commits" => world.hold_commits = hold,
                    "writes" => world.hold_writes = hold,
                    "syncs" => world.hold_syncs = hold,
                    "owners" => world.hold_owners = hold,
                    other => panic!("cannot hold {other}"),
                }
            }
            "disk" => world.disk_full = words[1] == "full",
            "space" => world.event(Event::DiskSpace {
                free_bytes: words[1].parse().unwrap(),
            }),
            "pressure" => {
                let (disk, journal) = (words.contains(&"disk"), words.contains(&"journal"));
                world.event(Event::Pressure(Pressure { journal, disk }));
            }
            "close" => {
                let (first, last) = (words[2].parse().unwrap(), words[3].parse().unwrap());
                world.event(Event::Wish(Wish::ClosePartitions {
                    topic: name(words[1]),
                    first,
                    last,
                }));
            }
            "open" => world.event(Event::Wish(Wish::OpenPartitions {
                topic: name(words[1]),
            })),
            "purge" => world.event(Event::Wish(Wish::PurgeTopic {
                topic: name(words[1]),
            })),
            "reload" => world.event(Event::Reload(Box::new(topics(line)))),
            "checkpoint" => world.event(Event::Checkpoint),
            "kill" => world.kill(),
            "cut" => world.cut_power(&mut Random::new(Seed(words[1].parse().unwrap()))),
            "start" => {
                if let Err(damage) = world.start(words.contains(&"accept_loss")) {
                    self.out.push(format!("does not start: {damage}"));
                }
            }
            "lead" => world.lead(),
            "depose" => world.event(Event::Deposed),
            "files" => self.files(),
            "operations" => self.operations(),
            "journal" => self.journal(),
            "status" => self.status(),
            "consumers" => self.consumers(),
            "describe" => self.describe(words[1]),
            "dump" => self.dump(words[1]),
            _ => self.spoil(&words),
        }
    }

    /// Time passes in steps, so that what happens is told with its time.
    fn wait(&mut self, ms: u64) {
        let end = self.world.now + Duration::from_millis(ms);
        while let Some(deadline) = self.world.broker.deadline() {
            if deadline > end || self.world.halted {
                break;
            }
            let passed = deadline.since(self.world.now);
            self.world.wait(passed);
            let before = self.out.len();
            self.tell();
            let at = self.world.now.as_millis() - 1000;
            for line in &mut self.out[before..] {
                *line = format!("{at} ms: {line}");
            }
        }
        self.world.wait(end.since(self.world.now));
    }

    fn path(file: &str) -> Path {
        let (folder, start) = file.rsplit_once('/').expect("a folder and a file");
        (
            folder.to_owned(),
            start.trim_end_matches(".meta").parse().unwrap(),
        )
    }

    fn spoil(&mut self, words: &[&str]) {
        let path = Self::path(words[1]);
        let files = &mut self.world.files;
        match words[0] {
            "flip" => {
                let position: usize = words[2].parse().unwrap();
                files.get_mut(&path).unwrap().bytes[position] ^= 0x40;
            }
            "shorten" => {
                let file = files.get_mut(&path).unwrap();
                let length = file.bytes.len() - words[2].parse::<usize>().unwrap();
                file.bytes.truncate(length);
            }
            "append" => {
                let modified = WALL_START;
                let file = files.entry(path.clone());
                let file = file.or_insert(File {
                    modified,
                    ..File::default()
                });
                for pair in words[2].as_bytes().chunks(2) {
                    let pair = std::str::from_utf8(pair).unwrap();
                    file.bytes.push(u8::from_str_radix(pair, 16).unwrap());
                }
                self.world.listed.insert(path);
            }
            "remove" => {
                files.remove(&path).unwrap();
            }
            other => panic!("no command {other}"),
        }
    }

    /// Writes down what left the broker.
    fn tell(&mut self) {
        while !self.world.seen.is_empty() {
            for effect in std::mem::take(&mut self.world.seen) {
                if !self.is_answered(&effect) {
                    let line = self.effect(effect);
                    self.out.push(line);
                }
            }
        }
    }

    /// What a broker answers from now on.
    fn answers(&mut self, words: &[&str]) {
        let server = ServerId(words[1].parse().unwrap());
        let answer = words[2..].iter().map(|word| (*word).to_owned()).collect();
        match words.len() {
            2 => self.answers.remove(&server),
            _ => self.answers.insert(server, answer),
        };
    }

    /// A broker is asked for counts, and answers at once.
    fn is_answered(&mut self, effect: &Effect) -> bool {
        let Effect::Tell {
            to,
            word: Word::Counts(asked),
        } = effect
        else {
            return false;
        };
        let Some(answer) = self.answers.get(to).filter(|_| asked.asks) else {
            return false;
        };
        let words: Vec<&str> = answer.iter().map(String::as_str).collect();
        let word = words::counts(self.world.now, &words);
        let from = *to;
        self.world.event(Event::Told { from, word });
        true
    }

    fn effect(&self, effect: Effect) -> String {
        match effect {
            Effect::Reply {
                connection,
                opaque,
                reply,
            } => {
                format!("{connection} < #{opaque} {}", reply_text(&reply))
            }
            Effect::Place {
                connection,
                opaque,
                place,
            } => {
                let file = self.world.file_name(place.file);
                let bytes = Bytes::from(self.world.read(&place));
                let (position, records) = (place.position, records_text(bytes));
                format!("{connection} < #{opaque} value from {file} at {position}: {records}")
            }
            Effect::Verify { range, .. } => {
                let file = self.world.file_name(range.file);
                format!("verify {file} from {} to {}", range.from, range.to)
            }
            Effect::RegisterTopic(topic) => format!(
                "register {}: {} partitions, publish {}, subscribe {}",
                topic.topic, topic.partitions, topic.accept_publish, topic.accept_subscribe
            ),
            Effect::UnregisterTopic { topic } => format!("unregister {topic}"),
            Effect::Tell { to, word } => format!("to server {to}: {}", words::text(&word)),
            Effect::Close { connection } => format!("{connection} closed"),
            Effect::PauseReading => "pause reading".to_owned(),
            Effect::ResumeReading => "resume reading".to_owned(),
            Effect::Warn(warning) => format!("warning: {warning:?}"),
            Effect::Halt { newer, reason } => {
                let whose = if newer { "a later version's: " } else { "" };
                format!("halt: {whose}{reason}")
            }
            other => panic!("{other:?} is carried out, not told"),
        }
    }

    fn files(&mut self) {
        for ((folder, start), file) in &self.world.files {
            let (bytes, synced) = (file.bytes.len(), file.synced.len());
            let name = short_name(*start);
            self.out
                .push(format!("{folder}/{name}: {bytes} bytes, {synced} synced"));
        }
    }

    fn operations(&mut self) {
        for operation in std::mem::take(&mut self.world.operations) {
            let file = self.world.file_name(operation.file());
            self.out.push(match operation {
                FileOperation::Create { .. } => format!("create {file}"),
                FileOperation::Write {
                    position, slices, ..
                } => {
                    let lengths: Vec<_> =
                        slices.iter().map(|slice| slice.len().to_string()).collect();
                    format!("write {file} at {position}: {} bytes", lengths.join(" + "))
                }
                FileOperation::Truncate { length, .. } => format!("cut {file} to {length}"),
                FileOperation::Remove { .. } => format!("remove {file}"),
                FileOperation::Archive { compress, .. } => {
                    format!(
                        "archive {file}{}",
                        if compress { ", compressed" } else { "" }
                    )
                }
            });
        }
    }

    fn journal(&mut self) {
        let released = self.world.released;
        self.out.push(format!("{released} released"));
        for (index, data) in self.world.journal.iter().enumerate() {
            let index = index as u64 + 1;
            let mut text = format!("{index}:");
            let mut commands = Commands::new(index, data.clone());
            while let Some(command) = commands.next().unwrap() {
                match command {
                    Command::Append(mut append) => {
                        while let Some((head, records)) = append.next_run(index).unwrap() {
                            let _ = write!(
                                text,
                                " {}-{} at {}: {} messages, {} bytes{};",
                                head.topic,
                                head.partition,
                                head.offset,
                                head.messages,
                                records.len(),
                                if head.rolls { ", rolls" } else { "" }
                            );
                        }
                    }
                    Command::Retire(retire) => {
                        for cut in retire.cuts {
                            let (topic, partition) = (cut.topic, cut.partition);
                            let (first, action) = (cut.first, cut.action);
                            let _ = write!(text, " {action:?} {topic}-{partition} below {first};");
                        }
                    }
                }
            }
            self.out.push(text);
        }
    }

    fn status(&mut self) {
        let status = self.world.broker.status();
        self.out.push(format!(
            "applied {}, written {}, checkpointed {}, held {}, {} bytes in flight{}{}",
            status.applied,
            status.written,
            status.checkpointed,
            status.gets_held,
            status.in_flight_bytes,
            if status.idle { ", idle" } else { "" },
            if status.disk_full { ", disk full" } else { "" },
        ));
        for topic in status.topics {
            for one in topic.partitions {
                self.out.push(format!(
                    "{}-{}: {} to {}, {} messages, {} files{}",
                    topic.topic,
                    one.number,
                    one.first,
                    one.end,
                    one.messages,
                    one.files,
                    if one.damaged.is_empty() {
                        String::new()
                    } else {
                        format!(", damaged at {:?}", one.damaged)
                    },
                ));
            }
        }
    }

    fn consumers(&mut self) {
        for one in self.world.broker.status().consumers {
            let why = one.not_turned_now(self.world.now);
            let why = why.map(|why| format!(" ({})", why.as_str()));
            self.out.push(format!(
                "{} {}: {} partitions{}, {} held, {} threads, {} turns, made room {} times{}",
                one.group,
                one.consumer,
                one.partitions,
                if one.elsewhere { " and others" } else { "" },
                one.held,
                one.threads_seen,
                one.turns,
                one.room_made,
                why.unwrap_or_default(),
            ));
        }
    }

    fn describe(&mut self, topic: &str) {
        let Some(detail) = self.world.broker.topic_detail(topic) else {
            return self.out.push("no such topic".to_owned());
        };
        let section = detail.section.unwrap_or_else(|| "none".to_owned());
        self.out.push(format!("{topic}: section {section}"));
        for one in detail.topic.partitions {
            let closed = if one.closed { ", closed" } else { "" };
            self.out.push(format!(
                "{}: {}..{}, {} messages in {} files{closed}",
                one.number, one.first, one.end, one.messages, one.files
            ));
        }
        for one in detail.readers {
            let owner = one
                .owner
                .map_or_else(|| "nobody".to_owned(), |it| it.to_string());
            self.out.push(format!(
                "{} reads {}: {owner}, {} held",
                one.group, one.partition, one.held
            ));
        }
    }

    fn dump(&mut self, file: &str) {
        let (folder, start) = Self::path(file);
        let bytes = Bytes::from(self.world.files[&(folder, start)].bytes.clone());
        for entry in dump::segment(start, bytes) {
            self.out.push(match entry {
                Entry::Record {
                    offset,
                    header,
                    attribute,
                    payload,
                } => {
                    let id = id_text(header.message_id);
                    let attribute = attribute.map_or(String::new(), |text| format!(" [{text}]"));
                    format!(
                        "{offset}: id {id} flag {}{attribute} {payload:?}",
                        header.flag
                    )
                }
                Entry::Damage {
                    offset,
                    bytes,
                    fault,
                } => {
                    format!("{offset}: {bytes} bytes are no records: {fault:?}")
                }
            });
        }
    }
}

fn id_text(id: i64) -> String {
    let ms = (id >> 22) + 1_303_895_660_503 - WALL_START;
    if (0..1 << 40).contains(&ms) && (id >> 12) & 0x3ff == 7 {
        format!("+{ms}.{}", id & 0xfff)
    } else {
        id.to_string()
    }
}

fn reply_text(reply: &Reply) -> String {
    match reply {
        Reply::Stored {
            message_id,
            partition,
            offset,
        } => {
            format!("200 {} {partition} {offset}", id_text(*message_id))
        }
        Reply::Offset(offset) => format!("200 {offset}"),
        Reply::Moved(offset) => format!("301 {offset}"),
        Reply::Text(text) => {
            let text = String::from_utf8(text.to_vec()).unwrap();
            if text.contains('\n') {
                let lines: Vec<&str> = text.split_inclusive('\n').map(str::trim_end).collect();
                format!("200\n    {}", lines.join("\n    "))
            } else {
                format!("200 {text}")
            }
        }
        Reply::Value(bytes) => format!("value: {}", records_text(bytes.clone())),
        Reply::Refused(refusal) => {
            let codes: BTreeMap<&str, u16> = BTreeMap::from([
                ("BadRequest", 400),
                ("Forbidden", 403),
                ("NotFound", 404),
                ("Failed", 500),
                ("Unavailable", 503),
            ]);
            format!(
                "{} {}",
                codes[format!("{:?}", refusal.kind).as_str()],
                refusal.text
            )
        }
    }
}

fn records_text(mut bytes: Bytes) -> String {
    let mut records = Vec::new();
    loop {
        match next_record(&mut bytes) {
            Next::Record(record) => {
                let data = record.data;
                records.push(match data.len() {
                    40.. => format!("({} bytes)", data.len()),
                    _ => format!("\"{}\"", data.escape_ascii()),
                });
            }
            Next::Incomplete if bytes.is_empty() => return records.join(" "),
            Next::Incomplete => {
                records.push(format!("and {} bytes of the next", bytes.len()));
                return records.join(" ");
            }
            Next::Damaged => {
                records.push(format!("no record in {} bytes", bytes.len()));
                return records.join(" ");
            }
        }
    }
}
