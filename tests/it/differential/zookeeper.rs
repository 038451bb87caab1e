//! ZooKeeper's scripts: a small language over raw requests. See `run` for its words.
//!
//! Numbers that differ from run to run are told by what they mean: a zxid as its distance from the one at the script's
//! start, a time as `now`, a session by the name of its connection.

use super::{Side, complain, escape, play, scripts, unescape};
use crate::harness::deployment::Deployment;
use crate::harness::lab;
use crate::harness::originals::{SUPER_DIGEST, ZooKeeper};
use crate::harness::server::{Server, set_text};
use crate::harness::zookeeper_wire::{Body, Client, Reader, Reply, op};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

struct Named {
    client: Client,
    session: i64,
    password: Vec<u8>,
}

/// A server, and the connections of one script.
pub(super) struct Stage {
    address: SocketAddr,
    connections: BTreeMap<String, Named>,
    base: i64,
}

impl Stage {
    pub(super) fn new(address: SocketAddr) -> Stage {
        let mut first = Client::connect(address);
        // The reply to an exists carries the last zxid: that of this very session's creation.
        let base = first
            .call(op::EXISTS, &Body::new().string("/").bool(false))
            .zxid;
        let before_close = base;
        first.close();
        // Its end is the next one.
        Stage {
            address,
            connections: BTreeMap::new(),
            base: before_close + 1,
        }
    }

    /// Ends the sessions that the script left open, so that none expires in the middle of the next script.
    pub(super) fn finish(self) {
        for (_, mut named) in self.connections {
            named.client.send(op::CLOSE, &Body::new());
            while named.client.receive().is_ok() {}
        }
    }

    fn zxid(&self, zxid: i64) -> String {
        if zxid <= 0 {
            zxid.to_string()
        } else {
            format!("z{:+}", zxid - self.base)
        }
    }

    fn session(&self, id: i64) -> String {
        if id == 0 {
            return "0".to_owned();
        }
        self.connections
            .iter()
            .find(|(_, named)| named.session == id)
            .map_or_else(|| "somebody".to_owned(), |(name, _)| name.clone())
    }

    fn stat(&self, reader: &mut Reader<'_>) -> String {
        let stat = reader.stat();
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("after 1970")
            .as_millis();
        let time = |millis: i64| match u128::try_from(millis) {
            Ok(0) => "0".to_owned(),
            Ok(millis) if now.abs_diff(millis) < 120_000 => "now".to_owned(),
            _ => format!("{millis}"),
        };
        format!(
            "czxid={} mzxid={} pzxid={} ctime={} mtime={} version={} cversion={} aversion={} owner={} length={} children={}",
            self.zxid(stat.czxid),
            self.zxid(stat.mzxid),
            self.zxid(stat.pzxid),
            time(stat.ctime),
            time(stat.mtime),
            stat.version,
            stat.cversion,
            stat.aversion,
            self.session(stat.ephemeral_owner),
            stat.data_length,
            stat.num_children
        )
    }

    fn connection(&mut self, name: &str) -> &mut Client {
        &mut self
            .connections
            .get_mut(name)
            .unwrap_or_else(|| panic!("no connection {name}"))
            .client
    }

    /// Says hello on a new connection and tells the answer.
    fn hello(
        &mut self,
        name: &str,
        session: i64,
        password: &[u8],
        options: &BTreeMap<&str, &str>,
    ) -> String {
        let mut client = Client::raw(self.address);
        let zxid = options
            .get("zxid")
            .map_or(0, |n| self.base + n.parse::<i64>().expect("a number"));
        let timeout = options
            .get("timeout")
            .map_or(10_000, |n| n.parse().expect("a number"));
        let short = options.contains_key("short");
        let Some(welcome) = client.handshake(zxid, timeout, session, password, !short) else {
            return "closed".to_owned();
        };
        let told = format!(
            "timeout={} session={} password={} length={}",
            welcome.timeout,
            if welcome.session == 0 {
                "0"
            } else if session == 0 {
                "new"
            } else if welcome.session == session {
                "same"
            } else {
                "another"
            },
            if welcome.password.iter().all(|byte| *byte == 0) {
                "zeros"
            } else {
                "given"
            },
            welcome.length
        );
        self.connections.insert(
            name.to_owned(),
            Named {
                client,
                session: welcome.session,
                password: welcome.password,
            },
        );
        told
    }

    /// Sends a request and tells the notifications before its reply, then the reply.
    fn call(&mut self, name: &str, opcode: i32, body: &Body, xid: Option<i32>) -> Vec<String> {
        let client = self.connection(name);
        let xid = match xid {
            Some(xid) => {
                client.send_with_xid(xid, opcode, body);
                xid
            }
            None => client.send(opcode, body),
        };
        let mut told = Vec::new();
        loop {
            let Ok(reply) = self.connection(name).receive() else {
                told.push("closed".to_owned());
                return told;
            };
            if reply.xid == -1 && xid != -1 {
                told.push(event(&reply));
                continue;
            }
            if reply.xid != xid {
                told.push(format!("the reply to {} instead of {xid}", reply.xid));
            }
            told.push(self.reply(opcode, &reply));
            return told;
        }
    }

    fn reply(&self, opcode: i32, reply: &Reply) -> String {
        if reply.error != 0 {
            let rest = if reply.body.is_empty() {
                String::new()
            } else {
                format!(" and {} bytes", reply.body.len())
            };
            return format!("error {} {}{rest}", reply.error, self.zxid(reply.zxid));
        }
        let mut reader = reply.reader();
        let told = match opcode {
            op::CREATE | op::SYNC => escape(reader.string().as_bytes()),
            op::EXISTS | op::SET_DATA | op::SET_ACL => self.stat(&mut reader),
            op::GET_DATA => {
                let data = reader
                    .bytes()
                    .map_or("null".to_owned(), |data| escape(&data));
                format!("{data} {}", self.stat(&mut reader))
            }
            op::GET_ACL => format!("{} {}", acls(&mut reader), self.stat(&mut reader)),
            op::GET_CHILDREN => names(&mut reader),
            op::GET_CHILDREN2 => format!("{} {}", names(&mut reader), self.stat(&mut reader)),
            op::MULTI => self.results(&mut reader),
            op::SASL => reader
                .bytes()
                .map_or("null".to_owned(), |token| escape(&token)),
            _ => String::new(),
        };
        let rest = if reader.0.is_empty() {
            String::new()
        } else {
            format!(" and {} bytes more", reader.0.len())
        };
        format!("ok {} {told}{rest}", self.zxid(reply.zxid))
            .trim_end()
            .to_owned()
    }

    fn results(&self, reader: &mut Reader<'_>) -> String {
        let mut told = Vec::new();
        loop {
            let (kind, done, error) = (reader.int(), reader.bool(), reader.int());
            if done {
                assert_eq!((kind, error), (-1, -1), "the end of a multi's results");
                return format!("[{}]", told.join(", "));
            }
            told.push(match kind {
                op::CREATE => format!("created {}", escape(reader.string().as_bytes())),
                op::SET_DATA => format!("set {}", self.stat(reader)),
                op::DELETE => "deleted".to_owned(),
                op::CHECK => "checked".to_owned(),
                -1 => format!("error {}/{error}", reader.int()),
                other => format!("result of type {other}"),
            });
        }
    }

    /// Carries out one command: a connection's name, a word, arguments.
    pub(super) fn run(&mut self, line: &str) -> Vec<String> {
        let words: Vec<&str> = line.split(' ').collect();
        let (name, word, arguments) = (words[0], words[1], &words[2..]);
        let options: BTreeMap<&str, &str> = arguments
            .iter()
            .map(|argument| argument.split_once('=').unwrap_or((argument, "")))
            .collect();
        let path = || {
            arguments
                .first()
                .map_or_else(Vec::new, |path| unescape(path))
        };
        let watch = arguments.get(1) == Some(&"watch");
        let number = |index: usize| arguments[index].parse::<i32>().expect("a number");
        match word {
            "connect" => vec![self.hello(name, 0, &[0; 16], &options)],
            "attach" => {
                let other = &self.connections[arguments[0]];
                let (session, mut password) = (other.session, other.password.clone());
                if options.contains_key("wrong-password") {
                    password[0] ^= 1;
                }
                vec![self.hello(name, session, &password, &options)]
            }
            "attach-unknown" => vec![self.hello(name, 0x7777_0000_0001, &[1; 16], &options)],
            "leave" => {
                self.connection(name).shutdown();
                Vec::new()
            }
            "closed" => vec![self.connection(name).is_closed().to_string()],
            "silent" => vec![
                self.connection(name)
                    .is_silent(Duration::from_millis(300))
                    .to_string(),
            ],
            "events" => {
                let mut told = self.call(name, op::PING, &Body::new(), Some(-2));
                told.pop();
                told
            }
            "ping" => self.call(name, op::PING, &Body::new(), Some(-2)),
            "close" => self.call(name, op::CLOSE, &Body::new(), None),
            "create" => {
                let data = buffer(Body::new().bytes(&path()), arguments[1]);
                let flags = arguments.get(2).map_or(0, |_| number(2));
                let body = match arguments.get(3) {
                    None => data.open_acl(),
                    Some(&"null") => data.null(),
                    Some(entries) => acl_body(data, entries),
                };
                self.call(name, op::CREATE, &body.int(flags), None)
            }
            "delete" => self.call(
                name,
                op::DELETE,
                &Body::new().bytes(&path()).int(number(1)),
                None,
            ),
            "set" => {
                let body = buffer(Body::new().bytes(&path()), arguments[1]).int(number(2));
                self.call(name, op::SET_DATA, &body, None)
            }
            "exists" => self.call(
                name,
                op::EXISTS,
                &Body::new().bytes(&path()).bool(watch),
                None,
            ),
            "get" => self.call(
                name,
                op::GET_DATA,
                &Body::new().bytes(&path()).bool(watch),
                None,
            ),
            "ls" => self.call(
                name,
                op::GET_CHILDREN,
                &Body::new().bytes(&path()).bool(watch),
                None,
            ),
            "ls2" => self.call(
                name,
                op::GET_CHILDREN2,
                &Body::new().bytes(&path()).bool(watch),
                None,
            ),
            "getacl" => self.call(name, op::GET_ACL, &Body::new().bytes(&path()), None),
            "setacl" => {
                let body = acl_body(Body::new().bytes(&path()), arguments[1]).int(number(2));
                self.call(name, op::SET_ACL, &body, None)
            }
            "sync" => self.call(name, op::SYNC, &Body::new().bytes(&path()), None),
            "auth" => {
                let body = Body::new()
                    .int(0)
                    .string(arguments[0])
                    .bytes(&unescape(arguments[1]));
                self.call(name, op::AUTH, &body, Some(-4))
            }
            "multi" => self.call(name, op::MULTI, &multi(arguments), None),
            "setwatches" => {
                let relative = self.base + options["zxid"].parse::<i64>().expect("a number");
                let mut body = Body::new().long(relative);
                for kind in ["data", "exist", "child"] {
                    let paths: Vec<&str> = options
                        .get(kind)
                        .map_or_else(Vec::new, |list| list.split(',').collect());
                    body = body.int(i32::try_from(paths.len()).expect("few"));
                    for path in paths {
                        body = body.bytes(&unescape(path));
                    }
                }
                self.call(name, op::SET_WATCHES, &body, Some(-8))
            }
            // Any opcode with any bytes.
            "request" => {
                let body = Body::new().raw(&unescape(arguments.get(1).unwrap_or(&"\"\"")));
                self.call(name, number(0), &body, None)
            }
            // A frame of any length with any bytes.
            "frame" => {
                let mut bytes = number(0).to_be_bytes().to_vec();
                bytes.extend(unescape(arguments.get(1).unwrap_or(&"\"\"")));
                let _ = self.connection(name).send_raw(&bytes);
                Vec::new()
            }
            _ => panic!("no such command: {line}"),
        }
    }
}

fn event(reply: &Reply) -> String {
    let mut reader = reply.reader();
    let kind = match reader.int() {
        1 => "created",
        2 => "deleted",
        3 => "changed",
        4 => "children",
        _ => "unknown",
    };
    let state = reader.int();
    let path = escape(reader.string().as_bytes());
    format!("event {kind} {path} (zxid {}, state {state})", reply.zxid)
}

fn names(reader: &mut Reader<'_>) -> String {
    let mut names = reader.strings();
    // The order is nobody's promise.
    names.sort();
    format!("[{}]", names.join(" "))
}

fn acls(reader: &mut Reader<'_>) -> String {
    let entries: Vec<String> = (0..reader.int())
        .map(|_| {
            let permissions = reader.int();
            format!("{permissions}:{}:{}", reader.string(), reader.string())
        })
        .collect();
    format!("[{}]", entries.join(" "))
}

fn buffer(body: Body, text: &str) -> Body {
    if text == "null" {
        body.null()
    } else {
        body.bytes(&unescape(text))
    }
}

/// `PERMISSIONS:SCHEME:ID`, several of them joined by `,`; `none` for an empty list.
fn acl_body(body: Body, text: &str) -> Body {
    if text == "none" {
        return body.int(0);
    }
    let entries: Vec<(i32, &str, &str)> = text
        .split(',')
        .map(|entry| {
            let mut parts = entry.splitn(3, ':');
            let mut part = || parts.next().expect("PERMISSIONS:SCHEME:ID");
            (part().parse().expect("a number"), part(), part())
        })
        .collect();
    body.acl(&entries)
}

/// `create|PATH|DATA|FLAGS`, `delete|PATH|VERSION`, `set|PATH|DATA|VERSION`, `check|PATH|VERSION`, `get|PATH`.
fn multi(parts: &[&str]) -> Body {
    let mut body = Body::new();
    for part in parts {
        let fields: Vec<&str> = part.split('|').collect();
        let path = unescape(fields[1]);
        let number = |index: usize| fields[index].parse::<i32>().expect("a number");
        let head = |body: Body, opcode: i32| body.int(opcode).bool(false).int(-1).bytes(&path);
        body = match fields[0] {
            "create" => buffer(head(body, op::CREATE), fields[2])
                .open_acl()
                .int(number(3)),
            "delete" => head(body, op::DELETE).int(number(2)),
            "set" => buffer(head(body, op::SET_DATA), fields[2]).int(number(3)),
            "check" => head(body, op::CHECK).int(number(2)),
            "get" => head(body, op::GET_DATA).bool(false),
            other => panic!("no such part of a multi: {other}"),
        };
    }
    body.int(-1).bool(true).int(-1)
}

fn play_all(address: SocketAddr, side: Side) {
    let mut differences = Vec::new();
    for script in scripts("zookeeper") {
        let mut stage = Stage::new(address);
        differences.extend(play(&script, side, |line| stage.run(line)));
        stage.finish();
    }
    complain(&differences);
}

/// Our coordinator alone.
pub(super) fn coordinator() -> Server {
    Server::coordinator_alone(|config| {
        set_text(config, "coordinator", "super_digest", SUPER_DIGEST);
    })
}

#[test]
fn the_coordinator_answers_as_zookeeper_does() {
    play_all(coordinator().coordinator(), Side::Ours);
}

#[test]
fn zookeeper_answers_as_the_scripts_say() {
    if !lab::full() {
        return;
    }
    let _alone = lab::heavy();
    play_all(ZooKeeper::start().address(), Side::Original);
}
