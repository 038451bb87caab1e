//! Local commands: the socket in the folder, and what each request does.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::{JoinHandle, spawn_local};
use tracing::{debug, info, warn};

use super::accept::accept;
use super::advice::unreadable;
use super::event_loop::Clock;
use super::run::Server;
use super::settings;
use crate::appliance::cluster::ClusterStatus;
use crate::appliance::control::{self, LINE_BYTES_MAX, Reloaded, Request, Response};
use crate::appliance::status::{PartitionStatus, TopicDetail, TopicPattern, Unshown};
use crate::authority::day;
use crate::broker::{Name, Wish};
use crate::config::reload::{Look, reload};
use crate::config::{self, ServerFolder, suggest};
use crate::consensus::admission::Seat;
use crate::disk::Class;
use crate::node::{EnsembleWish, Event};
use crate::report::{self, Code, Error};
use crate::units::{ServerId, counted};

/// How long a command may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(10);
/// Commands that may wait for the server.
const WAITING_MAX: usize = 16;
/// Commands that may be connected at a time; the next ones wait for a place.
const CONNECTIONS_MAX: usize = 32;
/// How often a socket is tried to be made that found no space.
const BIND_AGAIN_EVERY: Duration = Duration::from_secs(1);

/// A request and where its answer goes.
pub(super) struct Asked {
    request: Request,
    answer: oneshot::Sender<Response>,
}

/// What listens for local commands.
pub(super) struct Listening {
    pub(super) task: JoinHandle<()>,
    pub(super) commands: mpsc::Receiver<Asked>,
    /// There was no space for the socket: it is made as soon as there is.
    pub(super) wants_space: bool,
}

/// Listens on the folder's socket. A full disk keeps local commands away, and nobody else.
///
/// # Errors
/// The socket cannot be made.
pub(super) fn listen(folder: &ServerFolder, clock: Clock) -> Result<Listening, Error> {
    let path = folder.control_socket();
    let (sender, commands) = mpsc::channel(WAITING_MAX);
    let (task, wants_space) = match bind(&path) {
        Ok(listener) => {
            let serve = serve(listener, folder.clone(), sender, clock);
            (spawn_local(serve), false)
        }
        Err(error) if finds_no_space(&error) => {
            tracing::error!(
                path = %path.display(), %error,
                "the disk is full: no local command reaches the server before there is room for its socket"
            );
            let serve = serve_later(folder.clone(), sender, clock);
            (spawn_local(serve), true)
        }
        Err(error) => {
            return Err(
                Error::new(Code::E0103, format!("listen on {}", path.display()))
                    .because(error)
                    .means("The server does not start: local commands could not reach it.")
                    .cure("The user that runs the server must own its folder."),
            );
        }
    };
    Ok(Listening {
        task,
        commands,
        wants_space,
    })
}

fn bind(path: &Path) -> std::io::Result<UnixListener> {
    control::listen(path).and_then(UnixListener::from_std)
}

fn finds_no_space(error: &std::io::Error) -> bool {
    Class::of(error) == Class::NoSpace
}

/// Makes the socket when there is space for it, and listens.
async fn serve_later(folder: ServerFolder, commands: mpsc::Sender<Asked>, clock: Clock) {
    let path = folder.control_socket();
    let mut told = false;
    loop {
        tokio::time::sleep(BIND_AGAIN_EVERY).await;
        match bind(&path) {
            Ok(listener) => {
                info!(path = %path.display(), "local commands reach the server");
                return serve(listener, folder, commands, clock).await;
            }
            Err(error) if finds_no_space(&error) => {}
            Err(error) if !std::mem::replace(&mut told, true) => {
                warn!(path = %path.display(), %error, "make the socket of local commands");
            }
            Err(_) => {}
        }
    }
}

async fn serve(
    listener: UnixListener,
    folder: ServerFolder,
    commands: mpsc::Sender<Asked>,
    clock: Clock,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let next = async || {
        let place = Arc::clone(&places).acquire_owned().await;
        let (stream, _) = listener.accept().await?;
        Ok((stream, place))
    };
    accept("local commands", clock, next, |(stream, place)| {
        let (commands, folder) = (commands.clone(), folder.clone());
        spawn_local(async move {
            let _place = place;
            let exchange = exchange(stream, &folder, commands);
            match tokio::time::timeout(PATIENCE * 2, exchange).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => debug!(%error, "a local command broke off"),
                Err(_) => debug!("a local command took too long"),
            }
        });
    })
    .await;
}

/// Waits, but not for long, until nobody writes the configuration: half of a file is a configuration, too.
pub(super) async fn settle(folder: &ServerFolder) {
    const LOOK_EVERY: Duration = Duration::from_millis(20);
    const LOOKS_MAX: usize = 50;
    let mut before = Look::at(folder);
    for _ in 0..LOOKS_MAX {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = Look::at(folder);
        if !now.is_written_since(&before) {
            return;
        }
        before = now;
    }
}

async fn exchange(
    stream: UnixStream,
    folder: &ServerFolder,
    commands: mpsc::Sender<Asked>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    let limit = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
    (&mut stream).take(limit).read_line(&mut line).await?;
    let response = match serde_json::from_str(&line) {
        Ok(request) => {
            if request == Request::Reload {
                settle(folder).await;
            }
            let (answer, answered) = oneshot::channel();
            if commands.send(Asked { request, answer }).await.is_err() {
                return Ok(());
            }
            answered
                .await
                .unwrap_or_else(|_| refused(Code::E0302, "the server stops"))
        }
        Err(error) => refused(Code::E0306, format!("not a request: {error}")),
    };
    let mut text = serde_json::to_string(&response).map_err(std::io::Error::other)?;
    text.push('\n');
    stream.get_mut().write_all(text.as_bytes()).await
}

fn refused(code: Code, text: impl Into<String>) -> Response {
    Response::Refused {
        code: code.to_string(),
        text: text.into(),
    }
}

fn no_coordinator() -> Response {
    let text = "this server is no coordinator (coordinator.enabled), so it belongs to no ensemble";
    refused(Code::E0306, text)
}

fn done(text: impl Into<String>) -> Response {
    Response::Done { text: text.into() }
}

fn seat(observer: bool) -> Seat {
    match observer {
        true => Seat::Observer,
        false => Seat::Voter,
    }
}

/// Why these partitions, from `first` to `last`, cannot be meant.
fn no_such_partitions(detail: &TopicDetail, first: u32, last: u32) -> String {
    if first > last {
        return format!("the first partition, {first}, is behind the last one, {last}");
    }
    let (topic, count) = (&detail.topic.name, detail.partitions.len());
    match count {
        1 => format!("{topic} has one partition, number 0"),
        _ => format!("{topic} has {count} partitions, numbered from 0"),
    }
}

/// Logs what clients are not shown.
pub(super) fn tell_unshown(unshown: &[Unshown]) {
    for it in unshown {
        warn!(topic = it.topic, "{it}");
    }
}

impl Server {
    /// Answers a local command; true when it asks the server to stop.
    pub(super) fn answer(&mut self, asked: Asked) -> bool {
        let stops = asked.request == Request::Shutdown;
        let response = self.respond(asked.request);
        // A command that gave up waiting gets nothing, and nothing is lost by that.
        let _ = asked.answer.send(response);
        stops
    }

    fn respond(&mut self, request: Request) -> Response {
        match request {
            Request::Status => Response::Status(Box::new(self.status())),
            Request::Reload => match self.reload() {
                Ok(reloaded) => Response::Reloaded(Box::new(reloaded)),
                Err(error) => {
                    let code = match &error {
                        config::Error::Missing(_) => Code::E0002,
                        config::Error::Unreadable { source, .. } => unreadable(source),
                        config::Error::Blank(_) => Code::E0004,
                        config::Error::Mistakes(_) => Code::E0001,
                    };
                    refused(code, report::chain(&error))
                }
            },
            Request::TopicList => Response::Topics {
                topics: self.shell.node.borrow().topic_summaries(),
                patterns: self.patterns(),
            },
            Request::TopicDescribe { topic } => match self.known_topic(&topic) {
                Ok(detail) => Response::Topic(Box::new(detail)),
                Err(refused) => refused,
            },
            Request::PartitionClose { topic, start, end } => {
                let detail = match self.known_topic(&topic) {
                    Ok(detail) => detail,
                    Err(refused) => return refused,
                };
                let known = |number| detail.partitions.iter().any(|it| it.partition == number);
                if start > end || !known(start) || !known(end) {
                    return refused(Code::E0303, no_such_partitions(&detail, start, end));
                }
                let text = match start == end {
                    true => format!("partition {start} of {topic} is closed"),
                    false => format!("partitions {start} to {end} of {topic} are closed"),
                };
                info!(
                    topic,
                    first = start,
                    last = end,
                    "partitions are closed: puts and gets there are answered 403"
                );
                let number = |partition| i32::try_from(partition).unwrap_or(i32::MAX);
                let (first, last) = (number(start), number(end));
                let topic = Name::from(topic);
                self.wish(Wish::ClosePartitions { topic, first, last });
                done(text)
            }
            Request::PartitionOpen { topic } => {
                if let Err(refused) = self.known_topic(&topic) {
                    return refused;
                }
                let text = format!("all partitions of {topic} are open");
                info!(topic, "all partitions are open");
                self.wish(Wish::OpenPartitions {
                    topic: Name::from(topic),
                });
                done(text)
            }
            Request::TopicPurge { topic } => self.purge_topic(topic),
            Request::PartitionSkipDamage { topic, partition } => {
                let detail = match self.known_topic(&topic) {
                    Ok(detail) => detail,
                    Err(refused) => return refused,
                };
                let known = |one: &&PartitionStatus| one.partition == partition;
                let Some(one) = detail.partitions.iter().find(known) else {
                    let text = no_such_partitions(&detail, partition, partition);
                    return refused(Code::E0303, text);
                };
                if one.damaged_at.is_none() {
                    let text = format!(
                        "no damage is known in {topic}-{partition}: it is found when a consumer reads there"
                    );
                    return refused(Code::E0303, text);
                }
                let text = format!("consumers of {topic}-{partition} go on after the damage");
                info!(topic, partition, "consumers continue after the damage");
                let number = i32::try_from(partition).unwrap_or(i32::MAX);
                let topic = Name::from(topic);
                self.wish(Wish::SkipDamage {
                    topic,
                    partition: number,
                });
                done(text)
            }
            Request::ClusterStatus => match self.cluster_status() {
                Some(status) => Response::Cluster(Box::new(status)),
                None => no_coordinator(),
            },
            Request::ClusterAdd { server, observer } => self.ensemble(
                |status| match observer {
                    true => status.may_observe(server),
                    false => status.may_add(server),
                },
                EnsembleWish::Invite(ServerId(server), seat(observer)),
                format!("server {server} is invited"),
            ),
            Request::ClusterMoveVote { giver, taker } => self.ensemble(
                |status| status.may_move_vote(giver, taker),
                EnsembleWish::MoveVote {
                    giver: ServerId(giver),
                    taker: ServerId(taker),
                },
                format!("the vote of server {giver} is to go to server {taker}"),
            ),
            Request::ClusterRemove { server } => self.ensemble(
                |status| status.may_remove(server),
                EnsembleWish::Dismiss(ServerId(server)),
                format!("server {server} is to leave"),
            ),
            Request::ClusterTransfer { server } => self.ensemble(
                |status| status.may_transfer(server),
                EnsembleWish::Transfer(ServerId(server)),
                format!("server {server} is to lead"),
            ),
            Request::ClusterRaiseLevel => self.ensemble(
                ClusterStatus::may_raise,
                EnsembleWish::RaiseLevel,
                "the feature level is to be raised".to_owned(),
            ),
            Request::ClusterLoadCertificates => self.load_certificates(),
            Request::Shutdown => done("stopping"),
        }
    }

    /// Shows what is in the folder of certificates from now on.
    fn load_certificates(&self) -> Response {
        let Some(certificates) = self.shell.security.certificates() else {
            let text = "this server speaks without TLS, as its configuration said when it started";
            return refused(Code::E0306, text);
        };
        if let Err(error) = certificates.load_again() {
            return refused(Code::E0113, error.to_string());
        }
        *self.shell.security.unrenewed.borrow_mut() = None;
        let until = day(certificates.own().ends());
        info!(until, "the certificates are read again");
        done(format!(
            "new connections show the certificate that is valid until {until}"
        ))
    }

    /// Passes on what an operator wants of the ensemble, if it can be.
    fn ensemble(
        &self,
        may: impl FnOnce(&ClusterStatus) -> Result<(), String>,
        wish: EnsembleWish,
        text: String,
    ) -> Response {
        let Some(status) = self.cluster_status() else {
            return no_coordinator();
        };
        if let Err(why) = may(&status) {
            return refused(Code::E0306, why);
        }
        info!(?wish, "an operator changes the ensemble");
        self.shell.handle(Event::Ensemble(wish));
        done(text)
    }

    /// The patterns in the configuration.
    fn patterns(&self) -> Vec<TopicPattern> {
        let sections = self.config.broker.iter().flat_map(|broker| &broker.topics);
        let patterns = sections.filter(|section| section.name.contains('*'));
        let pattern = |section: &config::Topic| TopicPattern {
            pattern: section.name.clone(),
            partitions: section.settings.num_partitions,
        };
        patterns.map(pattern).collect()
    }

    fn wish(&self, wish: Wish) {
        self.shell.handle(Event::Wish(wish));
    }

    fn purge_topic(&mut self, topic: String) -> Response {
        if let Err(reason) = self.shell.health() {
            return refused(Code::E0306, reason);
        }
        let detail = match self.known_topic(&topic) {
            Ok(detail) => detail,
            Err(refused) => return refused,
        };
        let sections = self.config.broker.iter().flat_map(|broker| &broker.topics);
        if sections.into_iter().any(|section| section.name == topic) {
            let text = format!("{topic} is in the configuration: it is deleted there first");
            return refused(Code::E0306, text);
        }
        let messages = detail.topic.messages;
        info!(
            topic,
            messages,
            bytes = detail.topic.bytes,
            "all messages of a topic are deleted, as an operator wants it"
        );
        let text = format!("deleting {} of {topic}", counted(messages, "messages"));
        let topic = Name::from(topic);
        self.wish(Wish::PurgeTopic { topic });
        done(text)
    }

    /// A topic, or the answer that there is none of that name.
    fn known_topic(&self, name: &str) -> Result<TopicDetail, Response> {
        self.topic_detail(name).ok_or_else(|| {
            let topics = self.shell.node.borrow().topic_summaries();
            let names = topics.iter().map(|topic| topic.name.as_str());
            let hint = suggest(name, names)
                .map(|near| format!("; did you mean {near}?"))
                .unwrap_or_default();
            refused(Code::E0303, format!("there is no topic {name}{hint}"))
        })
    }

    /// Reads the topics again.
    pub(super) fn reload(&mut self) -> Result<Reloaded, config::Error> {
        let (next, changes) = reload(&self.config, &self.folder)?;
        // The others were told at the start, and `config check` tells them again.
        let told = &self.config.source.notes;
        let notes = next.source.notes.iter();
        let notes = notes.filter(|note| !told.contains(note)).cloned().collect();
        let unshown_before = self.shell.node.borrow().unshown();
        self.config = next;
        if let Some(own) = &self.config.broker {
            let node = self.shell.node.borrow();
            let topics = settings::topics(&self.config, own, node.data_folders());
            drop(node);
            self.shell.handle(Event::Topics(Box::new(topics)));
        }
        self.tell_registry();
        info!(
            added = changes.added.join(","),
            changed = changes.changed.join(","),
            removed = changes.removed.join(","),
            "the topics are read again"
        );
        let mut unshown = self.shell.node.borrow().unshown();
        unshown.retain(|it| !unshown_before.contains(it));
        tell_unshown(&unshown);
        Ok(Reloaded {
            added: changes.added,
            changed: changes.changed,
            removed: changes.removed,
            restart_needed: changes.restart_needed,
            unshown,
            notes,
        })
    }
}
