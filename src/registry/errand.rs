//! One node of the broker, and what is done about it through a ZooKeeper session: made, looked at, taken away.
//!
//! An errand owns all that it needs, so that many of them are under way at a time; `nodes` sends them and takes
//! back what they have learned.

use zookeeper_client::{Acls, Client, CreateMode, Error, OneshotWatcher};

use super::plan::Ephemeral;

/// What ZooKeeper refused, and of which node.
#[derive(Debug, thiserror::Error)]
#[error("{action} {path} in ZooKeeper: {error}")]
pub(super) struct Trouble {
    action: &'static str,
    path: String,
    error: Error,
}

/// A node as it was found.
struct Found {
    content: String,
    /// The session it goes with; 0 if with none.
    owner: i64,
}

/// A node, and what is known of it.
pub(super) struct Errand {
    client: Client,
    /// As it is to be.
    pub(super) node: Ephemeral,
    /// This session made it, and has not seen it in other hands.
    pub(super) made: bool,
    /// It is watched.
    pub(super) watched: bool,
    /// The watch that this errand has set.
    pub(super) watcher: Option<OneshotWatcher>,
}

impl Errand {
    /// Nothing is done yet.
    pub(super) fn new(client: Client, node: Ephemeral, made: bool, watched: bool) -> Errand {
        Errand {
            client,
            node,
            made,
            watched,
            watcher: None,
        }
    }

    /// Makes the node that claims our id ours, if it may be. Otherwise nothing else of ours may stay: no
    /// client is to be sent to another broker for topics that are here.
    pub(super) async fn claim(&mut self) -> Result<Option<String>, Trouble> {
        if let Some(found) = self.look().await? {
            if let Some(obstacle) = self.obstacle(&found) {
                return Ok(Some(obstacle));
            }
            if found.owner == self.session() && found.content == self.node.content {
                self.made = true;
                return Ok(None);
            }
            self.remove().await?;
        }
        if !self.create().await? {
            // Somebody was faster: the next look says who.
            return Err(at("create", &self.node.path)(Error::NodeExists));
        }
        self.look().await?;
        Ok(None)
    }

    /// What must not be touched about the node that claims our id, in words.
    fn obstacle(&self, found: &Found) -> Option<String> {
        let (path, url) = (&self.node.path, &self.node.content);
        let Found { content, owner } = found;
        if *owner == self.session() {
            None
        } else if *owner == 0 && content != url {
            Some(format!(
                "{path} holds \"{content}\" and is no broker's: it goes with no session; delete it"
            ))
        } else if content != url {
            Some(format!(
                "{path} is held by {content} (session {owner:#x}): another broker has this id"
            ))
        } else if self.made {
            Some(format!(
                "{path} was taken by another process that calls itself {content} (session {owner:#x})"
            ))
        } else {
            None
        }
    }

    /// Makes the node exist, with its content, in this session.
    pub(super) async fn own(&mut self) -> Result<(), Trouble> {
        // What was never made is most likely not there.
        if !self.made && self.create().await? {
            return self.look().await.map(drop);
        }
        match self.look().await? {
            Some(found) if found.owner == self.session() => {
                self.made = true;
                if found.content == self.node.content {
                    return Ok(());
                }
                if self.node.content_is_watched {
                    let set =
                        self.client
                            .set_data(&self.node.path, self.node.content.as_bytes(), None);
                    return set.await.map_err(at("write", &self.node.path)).map(drop);
                }
                self.remove().await?;
            }
            // An earlier session's.
            Some(_) => self.remove().await?,
            None => {}
        }
        if self.create().await? {
            self.look().await.map(drop)
        } else {
            Err(at("create", &self.node.path)(Error::NodeExists))
        }
    }

    /// Removes the node if it is this session's; one that has come into other hands is only forgotten.
    pub(super) async fn give_back(&mut self) -> Result<(), Trouble> {
        if self.is_ours().await? {
            self.remove().await?;
        }
        self.made = false;
        Ok(())
    }

    /// Says whether it was made; otherwise there is one already.
    async fn create(&mut self) -> Result<bool, Trouble> {
        // Noted first: if the answer is lost, the node may be there all the same.
        self.made = true;
        let made = match self.try_create().await {
            Err(Error::NoNode) => {
                if let Some((parent, _)) = self.node.path.rsplit_once('/') {
                    self.make_folder(parent).await?;
                }
                self.try_create().await
            }
            made => made,
        };
        match made {
            Ok(()) => Ok(true),
            Err(Error::NodeExists) => {
                self.made = false;
                Ok(false)
            }
            Err(error) => Err(at("create", &self.node.path)(error)),
        }
    }

    async fn try_create(&self) -> Result<(), Error> {
        let ephemeral = CreateMode::Ephemeral.with_acls(Acls::anyone_all());
        let content = self.node.content.as_bytes();
        let made = self.client.create(&self.node.path, content, &ephemeral);
        made.await.map(drop)
    }

    async fn make_folder(&self, path: &str) -> Result<(), Trouble> {
        let persistent = CreateMode::Persistent.with_acls(Acls::anyone_all());
        let made = self.client.mkdir(path, &persistent).await;
        made.map_err(at("make the parents of", path))
    }

    async fn remove(&mut self) -> Result<(), Trouble> {
        match self.client.delete(&self.node.path, None).await {
            Ok(()) | Err(Error::NoNode) => {
                self.made = false;
                Ok(())
            }
            Err(error) => Err(at("delete", &self.node.path)(error)),
        }
    }

    /// Whether the node is there, and this session's.
    pub(super) async fn is_ours(&self) -> Result<bool, Trouble> {
        let stat = self.client.check_stat(&self.node.path).await;
        let stat = stat.map_err(at("look at", &self.node.path))?;
        Ok(stat.is_some_and(|stat| stat.ephemeral_owner == self.session()))
    }

    /// The node as it is; `None` if there is none. From then on it is watched, if ZooKeeper lets us.
    async fn look(&mut self) -> Result<Option<Found>, Trouble> {
        let path = &self.node.path;
        let seen = match self.watched {
            true => None,
            false => match self.client.get_and_watch_data(path).await {
                Ok((content, stat, watcher)) => {
                    self.watched = true;
                    self.watcher = Some(watcher);
                    Some(Ok((content, stat)))
                }
                Err(Error::NoNode) => Some(Err(Error::NoNode)),
                // It may have more watches than it likes; the node can be read all the same.
                Err(_) => None,
            },
        };
        let seen = match seen {
            Some(seen) => seen,
            None => self.client.get_data(path).await,
        };
        match seen {
            Ok((content, stat)) => Ok(Some(Found {
                content: String::from_utf8_lossy(&content).into_owned(),
                owner: stat.ephemeral_owner,
            })),
            Err(Error::NoNode) => Ok(None),
            Err(error) => Err(at("read", path)(error)),
        }
    }

    fn session(&self) -> i64 {
        self.client.session_id().0
    }
}

/// Names what was to be done, of which node.
pub(super) fn at(action: &'static str, path: &str) -> impl Fn(Error) -> Trouble {
    move |error| Trouble {
        action,
        path: path.to_owned(),
        error,
    }
}
