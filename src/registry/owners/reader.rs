//! Reads owner nodes through the registry's session, and waits for their watches.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::{info, warn};
use zookeeper_client::{Client, Error, OneshotWatcher, SessionState};

use super::cache::{Cache, Found, Outcome, Part, Place, Read};
use super::{Answer, Question, Standing};
use crate::units::ServerId;

/// The broker's questions that are taken in at a time.
const QUESTIONS_AT_ONCE: usize = 256;

/// How a read ended.
enum Done {
    /// What was found, and the watch that was set.
    Outcome(Outcome, Option<OneshotWatcher>),
    /// The connection was lost, or the session ended.
    Lost,
}

/// Answers the broker's questions about owners, in whatever session there is.
pub(in crate::registry) struct Reader {
    root: String,
    broker: ServerId,
    questions: mpsc::UnboundedReceiver<Question>,
    answers: mpsc::UnboundedSender<Answer>,
    standing: watch::Sender<Standing>,
}

impl Reader {
    /// One that reads below `root` for `broker`.
    pub(in crate::registry) fn new(
        root: &str,
        broker: ServerId,
        questions: mpsc::UnboundedReceiver<Question>,
        answers: mpsc::UnboundedSender<Answer>,
        standing: watch::Sender<Standing>,
    ) -> Reader {
        Reader {
            root: root.to_owned(),
            broker,
            questions,
            answers,
            standing,
        }
    }

    /// Answers while there is no session.
    pub(in crate::registry) async fn without_session(&mut self) -> Infallible {
        self.tell(Standing::Away);
        loop {
            match self.questions.recv().await {
                Some(question) => self.answer(question.nobody()),
                None => std::future::pending().await,
            }
        }
    }

    /// Answers through this session; to be dropped with it.
    pub(in crate::registry) async fn through(&mut self, client: Client) -> Infallible {
        let mut cache = Cache::new(&self.root, self.broker, Instant::now());
        // Dropped after all that could tell the server they are not needed any more: a server of 3.4 does not
        // understand that.
        let mut watches = JoinSet::new();
        let mut reads = JoinSet::new();
        let mut states = client.state_watcher();
        let mut state = states.peek_state();
        let mut asked = Vec::new();
        loop {
            if state == SessionState::SyncConnected {
                cache.connected();
            }
            let now = Instant::now();
            cache.tick(now);
            while let Some(read) = cache.next_read(now) {
                reads.spawn(carry_out(client.clone(), read));
            }
            for answer in cache.take_answers() {
                self.answer(answer);
            }
            self.tell(cache.standing());
            tokio::select! {
                now = states.changed() => {
                    // However soon there is another connection: watches said nothing between the two.
                    state = now;
                    cache.lost();
                    reads = JoinSet::new();
                }
                Some(Ok((place, done))) = reads.join_next() => match done {
                    Done::Outcome(outcome, watcher) => {
                        cache.read(Instant::now(), &place, outcome);
                        if let Some(watcher) = watcher {
                            watches.spawn(fired(place, watcher));
                        }
                    }
                    Done::Lost => {
                        // The session is about to say so itself.
                        state = SessionState::Disconnected;
                        cache.lost();
                        reads = JoinSet::new();
                    }
                },
                Some(Ok(place)) = watches.join_next() => cache.changed(&place),
                count = self.questions.recv_many(&mut asked, QUESTIONS_AT_ONCE) => {
                    if count == 0 {
                        // Nobody is left who could ask.
                        return std::future::pending().await;
                    }
                    let now = Instant::now();
                    for question in asked.drain(..) {
                        cache.ask(now, question);
                    }
                }
                () = tokio::time::sleep_until(cache.deadline().into()) => {}
            }
        }
    }

    fn answer(&self, answer: Answer) {
        // An error says that nobody is left who could listen.
        let _ = self.answers.send(answer);
    }

    /// Tells a change once, and logs what the registration does not.
    fn tell(&self, now: Standing) {
        self.standing.send_if_modified(|before| {
            if *before == now {
                return false;
            }
            match (&before, &now) {
                (_, Standing::Silent) => {
                    warn!("ZooKeeper does not say who owns partitions: no get waits for a message meanwhile");
                }
                (_, Standing::Refused(reason)) => warn!(
                    reason,
                    "ZooKeeper does not show who owns partitions: no get of such a group waits for a message"
                ),
                (Standing::Silent | Standing::Refused(_), Standing::Read) => {
                    info!("ZooKeeper says again who owns partitions");
                }
                _ => {}
            }
            *before = now;
            true
        });
    }
}

async fn fired(place: Place, watcher: OneshotWatcher) -> Place {
    watcher.changed().await;
    place
}

async fn carry_out(client: Client, read: Read) -> (Place, Done) {
    let path = Arc::clone(&read.place.path);
    let found = match (read.place.part, read.watch) {
        (Part::Content, true) => {
            let got = client.get_and_watch_data(&path).await;
            got.map(|(content, _, watcher)| (text(&content), Some(watcher)))
        }
        (Part::Content, false) => {
            let got = client.get_data(&path).await;
            got.map(|(content, _)| (text(&content), None))
        }
        (Part::Children, true) => {
            let got = client.list_and_watch_children(&path).await;
            got.map(|(names, watcher)| (Found::Children(names), Some(watcher)))
        }
        (Part::Children, false) => {
            let got = client.list_children(&path).await;
            got.map(|names| (Found::Children(names), None))
        }
    };
    let done = match found {
        Ok((found, watcher)) => {
            let watched = watcher.is_some();
            Done::Outcome(Outcome::Found { found, watched }, watcher)
        }
        // A name that no znode can have: nobody owns anything there.
        Err(Error::NoNode | Error::BadArguments(_)) => {
            let found = Found::Absent;
            let watched = false;
            Done::Outcome(Outcome::Found { found, watched }, None)
        }
        Err(error) if client.state() == SessionState::SyncConnected && is_refusal(&error) => {
            Done::Outcome(Outcome::Refused(error.to_string()), None)
        }
        Err(_) => Done::Lost,
    };
    (read.place, done)
}

/// Whether ZooKeeper answered, and would answer the same again.
fn is_refusal(error: &Error) -> bool {
    !matches!(
        error,
        Error::ConnectionLoss | Error::SessionExpired | Error::ClientClosed | Error::Timeout
    )
}

fn text(content: &[u8]) -> Found {
    Found::Content(String::from_utf8_lossy(content).into_owned())
}
