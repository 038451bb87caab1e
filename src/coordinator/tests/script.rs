//! Transcripts: a command, dashes, everything that happened.
//!
//! `UPDATE=1 cargo test --lib coordinator` writes them anew; read the difference as a specification.
//!
//! ```text
//!   options [skip_acl] [super=ID] [limit=N] [limit_bytes=N] [server=N] [limit_watches=BYTES]
//!           [limit_all_watches=BYTES] [limit_sessions=N] [limit_sessions_per_address=N]
//!           [limit_tree=BYTES]        only as the first command
//!   connect C [from=ADDRESS] [timeout=MS] [session=C2] [password=wrong] [seen=ZXID]
//!           [read_only|no_read_only]
//!   connected C                       without a handshake
//!   handshake C ...                   the same on a connection that exists
//!   create C PATH [DATA] [mode=ephemeral|sequential|ephemeral_sequential|N] [acl=BITS:SCHEME:ID,...]
//!   delete C PATH [version=N]         set C PATH [DATA] [version=N]       check: in multi only
//!   exists|get|ls|ls2 C PATH [watch]  getacl C PATH       setacl C PATH acl=... [version=N]
//!   multi C OP; OP; ...               setwatches C zxid=N [data=P,...] [exist=P,...] [child=P,...]
//!   sync C PATH   auth C SCHEME DATA  sasl C   ping C   close C   malformed C [write]   unknown C N
//!   disconnect C                      the socket breaks
//!   hold, commit [N], answer, release proposals and questions wait until they are told not to
//!   again N                           the N-th proposal that waits, once more at the end
//!   overtake N                        the N-th proposal that waits goes first
//!   lose                              nothing that waits is ever committed
//!   wait MS                           time passes;  sleep MS: and nobody wakes the server
//!   led, deposed, follows, restart    (from a snapshot)
//!   leaderless, not_leaderless        read-only mode begins, and ends
//!   readers, state, sessions, watches, ephemerals, accepts C
//!   raw HEX                           commits these bytes
//! ```
//!
//! In DATA and PATH `\0`, `\xHH` are bytes, DATA `null` is null, "" is empty.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;

use super::harness::{Harness, WALL_START};
use crate::coordinator::session::password;
use crate::coordinator::{
    Acl, ConnectRequest, Create, CreateMode, Delete, Effect, Event, Names, Operation,
    OperationReply, Options, Outstanding, Reply, Request, SetData, Stat, WatchEventKind,
};
use crate::tests::transcript::{happen, scripts};
use crate::units::{ConnectionId, Seed, ServerId, Zxid};

scripts! {
    "src/coordinator/scripts":
    a_restart_forgets_nothing_that_was_committed, an_empty_entry_means_nothing,
    an_entry_that_nobody_understands_stops_the_server, create, delete, limits, multi,
    outstanding_requests_are_bounded, permissions, permissions_are_those_when_the_request_was_read,
    permissions_can_be_switched_off, permissions_of_the_superuser, quotas,
    read_only_clients_read, read_only_sessions_are_counted, read_only_sessions_end_by_themselves,
    replies_come_in_the_order_of_requests, requests_before_the_session_is_there_follow_it,
    sessions_are_resumed, sessions_attach_in_the_order_of_the_log, sessions_begin, sessions_close,
    sessions_expire, sessions_ids_are_never_used_twice, sessions_outlive_a_stopped_server, set_acl,
    set_data, sync, the_tree_of_a_new_ensemble, watches, watches_are_set_again, writes_count_once => play;
}

fn play(script: &str) -> String {
    let mut runner = Runner::new(Options::default());
    happen(script, |command| runner.command(command))
}

struct Runner {
    harness: Harness,
    connections: BTreeMap<String, Client>,
}

#[derive(Clone, Copy)]
struct Client {
    connection: ConnectionId,
    session: i64,
    xid: i32,
}

/// The words of a command: those with `=` by name, the others in order.
struct Words<'a> {
    plain: std::vec::IntoIter<&'a str>,
    named: BTreeMap<&'a str, &'a str>,
}

const NAMES: [&str; 22] = [
    "acl",
    "child",
    "data",
    "exist",
    "from",
    "limit",
    "limit_all",
    "limit_all_watches",
    "limit_bytes",
    "limit_sessions",
    "limit_sessions_per_address",
    "limit_tree",
    "limit_watches",
    "mode",
    "password",
    "seen",
    "server",
    "session",
    "super",
    "timeout",
    "version",
    "zxid",
];

impl<'a> Words<'a> {
    fn new(command: &'a str) -> Words<'a> {
        let words = command.split_whitespace();
        let (named, plain): (Vec<&str>, Vec<&str>) = words.partition(|word| {
            word.split_once('=')
                .is_some_and(|(name, _)| NAMES.contains(&name))
        });
        Words {
            plain: plain.into_iter(),
            named: named
                .into_iter()
                .filter_map(|word| word.split_once('='))
                .collect(),
        }
    }

    fn next(&mut self) -> &'a str {
        self.plain.next().expect("a word is missing")
    }

    fn bytes(&mut self) -> Bytes {
        unescape(self.next())
    }

    fn data(&mut self) -> Option<Bytes> {
        match self.plain.next() {
            None | Some("\"\"") => Some(Bytes::new()),
            Some("null") => None,
            Some(data) => Some(unescape(data)),
        }
    }

    fn flag(&mut self, flag: &str) -> bool {
        match self.plain.next() {
            None => false,
            Some(word) if word == flag => true,
            Some(other) => panic!("{other} instead of {flag}"),
        }
    }

    fn number<T: std::str::FromStr<Err: std::fmt::Debug>>(&self, name: &str, otherwise: T) -> T {
        self.named
            .get(name)
            .map_or(otherwise, |text| text.parse().expect("a number"))
    }

    fn paths(&self, name: &str) -> Vec<Bytes> {
        let paths = self
            .named
            .get(name)
            .into_iter()
            .flat_map(|paths| paths.split(','));
        paths.map(unescape).collect()
    }

    fn acl(&self) -> Vec<Acl> {
        let Some(list) = self.named.get("acl") else {
            return vec![Acl::open()];
        };
        let lines = list.split(',').filter(|line| !line.is_empty());
        lines
            .map(|line| {
                let mut parts = line.splitn(3, ':');
                let mut next =
                    || Bytes::copy_from_slice(parts.next().unwrap_or_default().as_bytes());
                Acl {
                    permissions: std::str::from_utf8(&next())
                        .expect("text")
                        .parse()
                        .expect("bits"),
                    scheme: next(),
                    id: next(),
                }
            })
            .collect()
    }

    fn operation(&mut self) -> Operation {
        let what = self.next();
        let path = self.bytes();
        let version = self.number("version", -1);
        match what {
            "create" => Operation::Create(Create {
                path,
                data: self.data(),
                acl: self.acl(),
                mode: match self.named.get("mode").copied().unwrap_or("persistent") {
                    "persistent" => CreateMode::Persistent,
                    "ephemeral" => CreateMode::Ephemeral,
                    "sequential" => CreateMode::PersistentSequential,
                    "ephemeral_sequential" => CreateMode::EphemeralSequential,
                    number => CreateMode::Unknown(number.parse().expect("a mode")),
                },
            }),
            "delete" => Operation::Delete(Delete { path, version }),
            "set" => Operation::SetData(SetData {
                path,
                data: self.data(),
                version,
            }),
            "check" => Operation::Check { path, version },
            other => panic!("{other} is no operation"),
        }
    }
}

impl Runner {
    fn new(options: Options) -> Runner {
        Runner {
            harness: Harness::leading(options, Seed(1)),
            connections: BTreeMap::new(),
        }
    }

    fn client(&mut self, name: &str) -> &mut Client {
        self.connections
            .get_mut(name)
            .unwrap_or_else(|| panic!("{name} never connected"))
    }

    fn command(&mut self, command: &str) -> Vec<String> {
        let (verb, _) = command.split_once(' ').unwrap_or((command, ""));
        let mut words = Words::new(command);
        words.next();
        let effects = match verb {
            "options" => {
                self.harness = Harness::leading(options(&mut words), Seed(1));
                return Vec::new();
            }
            "connect" | "handshake" => self.connect(verb == "connect", &mut words),
            "connected" => {
                let connection = self.harness.connected("127.0.0.1");
                let client = Client {
                    connection,
                    session: 0,
                    xid: 0,
                };
                self.connections.insert(words.next().to_owned(), client);
                Vec::new()
            }
            "disconnect" => {
                let connection = self.client(words.next()).connection;
                self.harness.handle(Event::Disconnected { connection })
            }
            "hold" => {
                self.harness.held = true;
                Vec::new()
            }
            "release" => {
                self.harness.held = false;
                let mut effects = self.harness.commit(usize::MAX);
                effects.extend(self.harness.answer());
                effects
            }
            "commit" => {
                let count = words
                    .plain
                    .next()
                    .map_or(usize::MAX, |count| count.parse().expect("a number"));
                self.harness.commit(count)
            }
            "answer" => self.harness.answer(),
            "again" => {
                let which: usize = words.next().parse().expect("a number");
                let again = self.harness.proposed[which].clone();
                self.harness.proposed.push_back(again);
                Vec::new()
            }
            "overtake" => {
                let which: usize = words.next().parse().expect("a number");
                let overtaking = self.harness.proposed.remove(which);
                self.harness
                    .proposed
                    .push_front(overtaking.expect("it waits"));
                Vec::new()
            }
            "lose" => {
                self.harness.proposed.clear();
                self.harness.questions.clear();
                Vec::new()
            }
            "raw" => {
                let hex = words.next().trim_matches('"').as_bytes();
                let byte =
                    |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("hex"), 16);
                let bytes = hex.chunks(2).map(|pair| byte(pair).expect("hex")).collect();
                self.harness.proposed.push_back(bytes);
                self.harness.commit(usize::MAX)
            }
            "wait" => {
                let ms = words.next().parse().expect("milliseconds");
                self.harness.wait(Duration::from_millis(ms))
            }
            "sleep" => {
                let ms = words.next().parse().expect("milliseconds");
                self.harness.now = self.harness.now + Duration::from_millis(ms);
                self.harness.handle(Event::Tick)
            }
            "led" => self.harness.handle(Event::Led { term: 2 }),
            "deposed" => self.harness.handle(Event::Deposed),
            "follows" => self.harness.handle(Event::Follows),
            "leaderless" => self.harness.handle(Event::ReadOnly),
            "not_leaderless" => self.harness.handle(Event::ReadOnlyOver),
            "readers" => {
                let status = self.harness.coordinator.status();
                let (count, proposed) = (status.read_only_sessions, self.harness.proposed.len());
                return vec![format!("{count} sessions that read, {proposed} proposals")];
            }
            "restart" => {
                self.harness.restart(Seed(2));
                Vec::new()
            }
            "state" => return self.state(),
            "sessions" => return self.sessions(),
            "watches" => return self.watches(),
            "ephemerals" => return self.ephemerals(),
            "accepts" => {
                let connection = self.client(words.next()).connection;
                let coordinator = &self.harness.coordinator;
                let Outstanding { requests, bytes } = coordinator.outstanding(connection);
                let accepts = coordinator.accepts(connection);
                return vec![format!(
                    "{accepts}, {requests} requests, {bytes} bytes outstanding"
                )];
            }
            _ => {
                let name = words.next();
                let (xid, request) = self.request(verb, command, name, &mut words);
                let connection = self.client(name).connection;
                self.harness.request(connection, xid, request)
            }
        };
        effects.iter().map(|effect| self.show(effect)).collect()
    }

    fn connect(&mut self, is_new: bool, words: &mut Words<'_>) -> Vec<Effect> {
        let name = words.next().to_owned();
        let read_only = match words.plain.next() {
            None => Some(false),
            Some("read_only") => Some(true),
            Some("no_read_only") => None,
            Some(other) => panic!("{other} is not a read-only flag"),
        };
        let session = words
            .named
            .get("session")
            .map_or(0, |other| self.client(other).session);
        let mut shown = if session == 0 {
            [0; 16]
        } else {
            password(session)
        };
        if words.named.contains_key("password") {
            shown[0] ^= 1;
        }
        let connection = if is_new {
            let from = words.named.get("from").copied().unwrap_or("127.0.0.1");
            self.harness.connected(from)
        } else {
            self.client(&name).connection
        };
        let client = Client {
            connection,
            session,
            xid: 0,
        };
        self.connections.insert(name.clone(), client);
        self.harness.handle(Event::Connect {
            connection,
            wall: self.harness.wall(),
            request: ConnectRequest {
                last_zxid_seen: Zxid(words.number("seen", 0)),
                timeout_ms: words.number("timeout", 10_000),
                session,
                password: Bytes::copy_from_slice(&shown),
                read_only,
            },
        })
    }

    fn request(
        &mut self,
        verb: &str,
        line: &str,
        name: &str,
        words: &mut Words<'_>,
    ) -> (i32, Request) {
        let client = self.client(name);
        let mut xid = client.xid + 1;
        let request = match verb {
            "create" | "delete" | "set" => {
                let operation = format!("{verb} {}", third(line));
                match Words::new(&operation).operation() {
                    Operation::Create(create) => Request::Create(create),
                    Operation::Delete(delete) => Request::Delete(delete),
                    Operation::SetData(set) => Request::SetData(set),
                    Operation::Check { .. } => unreachable!("it is not among the three"),
                }
            }
            "multi" => {
                let operations = third(line).split(';');
                let operations = operations.filter(|operation| !operation.trim().is_empty());
                Request::Multi(
                    operations
                        .map(|text| Words::new(text).operation())
                        .collect(),
                )
            }
            "exists" => Request::Exists {
                path: words.bytes(),
                watch: words.flag("watch"),
            },
            "get" => Request::GetData {
                path: words.bytes(),
                watch: words.flag("watch"),
            },
            "ls" => Request::GetChildren {
                path: words.bytes(),
                watch: words.flag("watch"),
            },
            "ls2" => Request::GetChildren2 {
                path: words.bytes(),
                watch: words.flag("watch"),
            },
            "getacl" => Request::GetAcl {
                path: words.bytes(),
            },
            "setacl" => Request::SetAcl {
                path: words.bytes(),
                acl: words.acl(),
                version: words.number("version", -1),
            },
            "sync" => Request::Sync {
                path: words.bytes(),
            },
            "auth" => {
                xid = -4;
                Request::Auth {
                    scheme: words.bytes(),
                    data: words.plain.next().map(unescape).unwrap_or_default(),
                }
            }
            "setwatches" => {
                xid = -8;
                Request::SetWatches {
                    relative_zxid: Zxid(words.number("zxid", 0)),
                    data: words.paths("data"),
                    exist: words.paths("exist"),
                    child: words.paths("child"),
                }
            }
            "sasl" => Request::Sasl {
                token: Some(Bytes::from_static(b"token")),
            },
            "ping" => {
                xid = -2;
                Request::Ping
            }
            "close" => Request::CloseSession,
            "malformed" => Request::Malformed {
                write: words.flag("write"),
            },
            "unknown" => Request::Unknown {
                opcode: words.next().parse().expect("an opcode"),
            },
            other => panic!("{other} is no command"),
        };
        if xid > 0 {
            self.client(name).xid = xid;
        }
        (xid, request)
    }

    fn name_of(&self, connection: ConnectionId) -> String {
        let mut clients = self.connections.iter();
        let client = clients.find(|(_, client)| client.connection == connection);
        client.map_or(format!("connection {connection}"), |(name, _)| name.clone())
    }

    fn show(&mut self, effect: &Effect) -> String {
        match effect {
            Effect::ConnectReply { connection, reply } => {
                let name = self.name_of(*connection);
                if let Some(client) = self.connections.get_mut(&name)
                    && reply.session != 0
                {
                    client.session = reply.session;
                }
                let good = if reply.session == 0 {
                    reply.password == [0; 16]
                } else {
                    reply.password == password(reply.session)
                };
                format!(
                    "{name} < session 0x{:x}, timeout {}, password {}, read only {}",
                    reply.session,
                    reply.timeout_ms,
                    if good { "as expected" } else { "wrong" },
                    reply
                        .read_only
                        .map_or("not told".to_owned(), |told| told.to_string()),
                )
            }
            Effect::Reply {
                connection,
                xid,
                zxid,
                result,
            } => {
                let result = match result {
                    Ok(reply) => show_reply(reply),
                    Err(refusal) => format!("refused: {refusal}"),
                };
                format!(
                    "{} < {xid} at {}: {result}",
                    self.name_of(*connection),
                    zxid.0
                )
            }
            Effect::Notify { connection, event } => {
                let kind = match event.kind {
                    WatchEventKind::Created => "created",
                    WatchEventKind::Deleted => "deleted",
                    WatchEventKind::DataChanged => "data changed",
                    WatchEventKind::ChildrenChanged => "children changed",
                };
                format!(
                    "{} < event: {kind} {}",
                    self.name_of(*connection),
                    escape(&event.path)
                )
            }
            Effect::Close { connection, reason } => {
                format!("{} closed: {reason}", self.name_of(*connection))
            }
            Effect::QuotaExceeded(quota) => format!(
                "quota exceeded: {:?} of {} is {}, limit {}",
                quota.what,
                escape(&quota.path),
                quota.used,
                quota.limit
            ),
            Effect::NewHistory { zxid } => format!("a new history begins at {}", zxid.0),
            Effect::LimitReached { limit, address } => format!("limit {limit:?} for {address}"),
            Effect::Halt {
                index,
                newer,
                reason,
            } => {
                let whose = if *newer { "a later version's: " } else { "" };
                format!("halt at entry {index}: {whose}{reason}")
            }
            Effect::Propose(_) | Effect::ReadIndex { .. } | Effect::Touch { .. } => {
                unreachable!("the harness keeps these")
            }
        }
    }

    fn state(&self) -> Vec<String> {
        let coordinator = &self.harness.coordinator;
        let status = coordinator.status();
        let mut lines = vec![format!(
            "zxid {}, entry {}, {} nodes, {} bytes, {} ephemerals, {} acls, {} sessions, {} connections, {} watches, {} outstanding",
            status.zxid.0,
            status.applied,
            status.nodes,
            status.data_bytes,
            status.ephemerals,
            status.acls,
            status.sessions,
            status.connections,
            status.watches,
            status.outstanding.requests,
        )];
        let mut paths = vec![b"/".to_vec()];
        while let Some(path) = paths.pop() {
            let data = coordinator.peek(&path).expect("it was listed");
            lines.push(format!("{} {}", escape(&path), quoted(data)));
            let names = coordinator.peek_children(&path).expect("it was listed");
            let prefix = if path == b"/" { b"".as_slice() } else { &path };
            let names = names.into_iter();
            let children: Vec<Vec<u8>> = names.map(|name| [prefix, b"/", name].concat()).collect();
            paths.extend(children.into_iter().rev());
        }
        lines
    }

    fn sessions(&self) -> Vec<String> {
        let sessions = self.harness.coordinator.sessions().into_iter();
        sessions
            .map(|session| {
                let connection = session
                    .connection
                    .map(|connection| self.name_of(connection));
                let expires = session.expires.map(|moment| moment.as_millis());
                format!(
                    "0x{:x}, timeout {}, connection {}, expires at {}",
                    session.session,
                    session.timeout_ms,
                    connection.unwrap_or("none".into()),
                    expires.map_or("?".to_owned(), |ms| ms.to_string()),
                )
            })
            .collect()
    }

    fn watches(&self) -> Vec<String> {
        let coordinator = &self.harness.coordinator;
        let summary = coordinator.watch_summary();
        let mut lines = vec![format!(
            "{} connections watch {} paths, {} watches",
            summary.connections, summary.paths, summary.watches
        )];
        for (path, sessions) in coordinator.watches_by_path(usize::MAX) {
            lines.push(format!("{} by {sessions:x?}", escape(&path)));
        }
        for (session, paths) in coordinator.watches_by_session(usize::MAX) {
            let paths: Vec<String> = paths.iter().map(|path| escape(path)).collect();
            lines.push(format!("0x{session:x} on {}", paths.join(" ")));
        }
        lines
    }

    fn ephemerals(&self) -> Vec<String> {
        let owners = self.harness.coordinator.ephemerals(usize::MAX).into_iter();
        owners
            .map(|(session, paths)| {
                let paths: Vec<String> = paths.iter().map(|path| escape(path)).collect();
                format!("0x{session:x}: {}", paths.join(" "))
            })
            .collect()
    }
}

/// What follows the verb and the client.
fn third(line: &str) -> &str {
    line.splitn(3, ' ').nth(2).unwrap_or_default()
}

fn options(words: &mut Words<'_>) -> Options {
    let otherwise = Options::default();
    Options {
        server: ServerId(words.number("server", otherwise.server.0)),
        skip_acl: words.flag("skip_acl"),
        super_digest: words.named.get("super").map(|&id| id.to_owned()),
        connection_outstanding_max: words.number("limit", otherwise.connection_outstanding_max),
        connection_outstanding_bytes_max: words
            .number("limit_bytes", otherwise.connection_outstanding_bytes_max),
        outstanding_max: words.number("limit_all", otherwise.outstanding_max),
        watch_bytes_per_connection_max: words
            .number("limit_watches", otherwise.watch_bytes_per_connection_max),
        watch_bytes_max: words.number("limit_all_watches", otherwise.watch_bytes_max),
        sessions_max: words.number("limit_sessions", otherwise.sessions_max),
        sessions_per_address_max: words.number(
            "limit_sessions_per_address",
            otherwise.sessions_per_address_max,
        ),
        tree_bytes_max: words.number("limit_tree", otherwise.tree_bytes_max),
        ..otherwise
    }
}

fn show_reply(reply: &Reply) -> String {
    match reply {
        Reply::Done => "done".into(),
        Reply::Created { path } => format!("created {}", escape(path)),
        Reply::Stat(stat) => show_stat(stat),
        Reply::Data { data, stat } => {
            let data = data.as_deref().map_or("null".to_owned(), quoted);
            format!("{data}, {}", show_stat(stat))
        }
        Reply::Acl { acl, stat } => {
            let line = |line: &Acl| {
                format!(
                    "{}:{}:{}",
                    line.permissions,
                    escape(&line.scheme),
                    escape(&line.id)
                )
            };
            let lines: Vec<String> = acl.iter().map(line).collect();
            format!("{}, {}", lines.join(" "), show_stat(stat))
        }
        Reply::Children(names) => show_names(names),
        Reply::Children2 { names, stat } => format!("{}, {}", show_names(names), show_stat(stat)),
        Reply::Synced { path } => format!("synced {}", escape(path)),
        Reply::Multi(replies) => {
            let show = |reply: &OperationReply| match reply {
                OperationReply::Created { path } => format!("created {}", escape(path)),
                OperationReply::Deleted => "deleted".into(),
                OperationReply::DataSet(stat) => format!("set ({})", show_stat(stat)),
                OperationReply::Checked => "checked".into(),
            };
            let replies: Vec<String> = replies.iter().map(show).collect();
            format!("all [{}]", replies.join("; "))
        }
        Reply::MultiRefused {
            operations,
            refused,
            refusal,
        } => {
            format!("nothing of {operations}, number {refused} refused: {refusal}")
        }
        Reply::Sasl { token } => format!("token {token:?}"),
    }
}

fn show_names(names: &Names) -> String {
    let names: Vec<String> = names.iter().map(escape).collect();
    format!("[{}]", names.join(" "))
}

/// What is not 0, times since the test began.
fn show_stat(stat: &Stat) -> String {
    let since = |time: i64| if time == 0 { 0 } else { time - WALL_START };
    let mut text = format!(
        "stat c{}@{} m{}@{} p{} v{}",
        stat.czxid.0,
        since(stat.ctime),
        stat.mzxid.0,
        since(stat.mtime),
        stat.pzxid.0,
        stat.version
    );
    for (name, number) in [
        ("cv", stat.cversion),
        ("av", stat.aversion),
        ("length", stat.data_length),
        ("children", stat.children),
    ] {
        if number != 0 {
            let _ = write!(text, " {name} {number}");
        }
    }
    if stat.ephemeral_owner != 0 {
        let _ = write!(text, " of 0x{:x}", stat.ephemeral_owner);
    }
    text
}

fn quoted(bytes: &[u8]) -> String {
    format!("\"{}\"", escape(bytes))
}

fn escape(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn unescape(text: &str) -> Bytes {
    let text = if text == "\"\"" { "" } else { text };
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match (byte, tail) {
            (b'\\', [b'0', tail @ ..]) => {
                bytes.push(0);
                rest = tail;
            }
            (b'\\', [b'x', high, low, tail @ ..]) => {
                let pair = [*high, *low];
                let pair = std::str::from_utf8(&pair).expect("hex");
                bytes.push(u8::from_str_radix(pair, 16).expect("hex"));
                rest = tail;
            }
            _ => bytes.push(byte),
        }
    }
    bytes.into()
}
