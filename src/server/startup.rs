//! From a folder to a node: the journal is opened, each core gets back what its own files hold, and the
//! replicas give out the rest in the first turns.
//!
//! Nothing here waits for anything but the disk, through the same [`Disk`] that serves later, so a
//! simulation starts servers as the real shell does.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use tracing::warn;

use super::advice::{disk_refused, flag, newer_data, run_without, unsupported};
use super::damaged_journal::DamagedJournal;
use super::descriptors::Shares;
use super::journal_start::{JournalOpened, JournalStart, not_aside};
use super::system::{Random, System};
use super::{recovery, settings, topics};
use crate::appliance::Ports;
use crate::broker::Broker;
use crate::config::{self, Config, ServerFolder};
use crate::consensus::{self, Identity, Membership};
use crate::coordinator::{self, Coordinator, SnapshotError};
use crate::disk::{self, Disk, Operation};
use crate::journal::Journal;
use crate::node::broker::BrokerSide;
use crate::node::broker::segment_files::SegmentFiles;
use crate::node::coordinator::four_letter::Facts;
use crate::node::coordinator::snapshots::{self, Found, RestoreError, Snapshots};
use crate::node::coordinator::{CoordinatorSide, FORGOT, receiving};
use crate::node::replica::{
    Beginning, Joining, Replica, Unusable, check_level, others_have_all, was_alone,
};
use crate::node::{Node, Parts};
use crate::report::{Code, Error};
use crate::units::feature::Levels;
use crate::units::{GroupId, Seed};
use crate::wire::zookeeper::four_letter::Configuration;

/// The file in `data/coordinator/` that says who the server is to its ensemble, since it lost what it was.
pub(super) const IDENTITY: &str = "identity";

/// Second line of that file: nobody has accepted the loss, and nothing is founded by this server.
const IDENTITY_FORGOT: &str = "has forgotten";

/// Who the server is to its ensemble.
#[derive(Clone, Copy, Debug)]
struct Own {
    id: u128,
    /// It has lost by itself what it remembered.
    forgot: bool,
}

impl Own {
    fn text(self) -> Bytes {
        let forgot = if self.forgot { IDENTITY_FORGOT } else { "" };
        Bytes::from(format!("{:032x}\n{forgot}", self.id))
    }

    fn read(bytes: &[u8]) -> Option<Own> {
        let mut lines = str::from_utf8(bytes).ok()?.lines();
        let id = u128::from_str_radix(lines.next()?.trim(), 16).ok()?;
        let forgot = lines.next().is_some_and(|line| line == IDENTITY_FORGOT);
        Some(Own { id, forgot })
    }
}

/// What a node is made of.
pub struct Start<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The server's folder.
    pub folder: &'a ServerFolder,
    /// Whether to go on where acknowledged data is damaged, without it and without what was written after it.
    pub accept_loss: bool,
    /// The disk.
    pub disk: Box<dyn Disk>,
    /// Random bytes.
    pub random: Random,
    /// Facts of the machine.
    pub system: System,
    /// What it will listen on: the configuration may have left the ports open.
    pub ports: Ports,
    /// The feature levels that it supports.
    pub levels: Levels,
}

/// Opens the server in a folder. It serves ([`Node::serves`]) after a few turns, when what the journal holds
/// beyond the cores' own files is applied.
///
/// # Errors
/// What is on disk is damaged, of a newer version, another server's, or cannot be read; the error says what to
/// do. Nothing acknowledged is lost by trying.
pub fn open(start: Start<'_>) -> Result<Node, Error> {
    let Start {
        config,
        folder,
        accept_loss,
        mut disk,
        random,
        system,
        ports,
        levels,
    } = start;
    let opened = JournalStart {
        config,
        folder,
        accept_loss,
        fresh: random.journal,
    }
    .open(disk.as_mut())?;
    let JournalOpened {
        mut journal,
        mut recovered,
        renewed,
        is_back,
        broker_held,
    } = opened;
    refuse_another_server(config, recovered.groups.keys())?;
    let lost = recovered.lost.batches.map(|_| recovered.lost.to_string());
    let coordinator = match &config.coordinator {
        Some(options) => {
            let group = recovered.groups.remove(&GroupId::COORDINATOR);
            let parts = CoordinatorStart {
                config,
                options,
                port: real(ports.coordinator, options.port),
                folder,
                group,
                lost: renewed || recovered.loss.is_some(),
                is_about_broker: is_back,
                fresh: u128::from_be_bytes(random.journal),
                levels,
                seed: random.seed,
            };
            Some(parts.open(accept_loss, &system, &mut journal, disk.as_mut())?)
        }
        None => None,
    };
    let served = config.broker.as_ref().filter(|_| broker_held.is_none());
    let broker = match served {
        Some(options) => {
            let group = recovered.groups.remove(&GroupId::broker(config.id));
            let parts = BrokerStart {
                config,
                options,
                port: real(ports.broker, options.port),
                folder,
                group,
                lost: recovered.loss.is_some(),
                seed: random.seed,
            };
            Some(parts.open(accept_loss, &system, &mut journal, disk.as_mut())?)
        }
        None => None,
    };
    if accept_loss && broker.is_some() {
        DamagedJournal::of(folder)
            .release_broker(disk.as_mut())
            .map_err(not_aside)?;
    }
    let mut space = settings::space(config, folder);
    space.make_reserve(disk.as_mut());
    Ok(Node::new(Parts {
        disk,
        journal,
        coordinator,
        broker,
        limits: settings::limits(config),
        space,
        codecs: settings::codecs(config),
        owner_nodes: settings::owner_nodes(config),
        utc_offset_s: system.utc_offset_s,
        lost,
        broker_held,
    }))
}

/// The port that is listened on, or the configured one where nothing listens.
fn real(address: Option<SocketAddr>, configured: u16) -> u16 {
    address.map_or(configured, |address| address.port())
}

/// Before anything is opened: to another broker the message files are those of a journal that has lost everything.
pub(super) fn refuse_another_server<'a>(
    config: &Config,
    groups: impl Iterator<Item = &'a GroupId>,
) -> Result<(), Error> {
    let own = GroupId::broker(config.id);
    let brokers = groups.filter(|group| **group != GroupId::COORDINATOR);
    let mut others = brokers.filter(|group| config.broker.is_none() || **group != own);
    let Some(group) = others.next() else {
        return Ok(());
    };
    let wrote = group.0.saturating_sub(1);
    let (holds, cure) = match *group == own {
        true => (
            "broker.enabled is false".to_owned(),
            "Set broker.enabled to true".to_owned(),
        ),
        false => (
            format!("server.id is {}", config.id),
            format!("Set server.id to {wrote}"),
        ),
    };
    let what = format!("data/ was written by broker {wrote}, and {holds}");
    Err(Error::new(Code::E0109, what)
        .means("The server does not start: offsets and message ids belong to the id.")
        .cure(format!("{cure}, or give this server a folder of its own.")))
}

/// What the coordinator is opened from.
struct CoordinatorStart<'a> {
    config: &'a Config,
    options: &'a config::Coordinator,
    port: u16,
    folder: &'a ServerFolder,
    group: Option<consensus::Remembered>,
    /// The journal is damaged or gone, and that is accepted.
    lost: bool,
    /// What is accepted is the broker's loss.
    is_about_broker: bool,
    /// Random bits.
    fresh: u128,
    levels: Levels,
    seed: Seed,
}

impl CoordinatorStart<'_> {
    fn open(
        self,
        accept_loss: bool,
        system: &System,
        journal: &mut Journal,
        disk: &mut dyn Disk,
    ) -> Result<CoordinatorSide, Error> {
        let options = settings::coordinator(self.config, self.options);
        let id = GroupId::COORDINATOR;
        let marker = self.group.as_ref().map(|group| &group.marker);
        check_level(id, marker, self.levels, journal)
            .map_err(|reason| unusable(self.folder, reason))?;
        let marker = marker.map_or(0, |marker| marker.index);
        let folder = self.folder.coordinator();
        let note = folder.join(FORGOT);
        // The coordinator's loss.
        let accepted = accept_loss && !self.is_about_broker;
        let mut found = None;
        if !self.is_noted(&note, disk)? {
            let restored = snapshots::restore(
                &folder,
                marker,
                &options,
                self.levels,
                self.seed,
                accept_loss,
                disk,
            );
            found = match restored {
                Ok(restored) => Some(restored).filter(|it| !self.forgets(it, accept_loss)),
                Err(error) if error.is_damage() && self.others_have_all() => {
                    warn!(
                        %error,
                        "the coordinator's snapshot is damaged: the other servers have all of it"
                    );
                    None
                }
                Err(error) => return Err(snapshot_refused(self.folder, error)),
            };
        }
        let forgets = found.is_none();
        let found = match found {
            Some(found) => found,
            None => self.forget(&note, &options, accepted, disk)?,
        };
        let lost = self.lost || found.lost;
        let recovery = recovery::read(self.folder, lost && accept_loss && !forgets, disk)?;
        let own = self.identity(journal.id(), accepted, disk)?;
        if own.forgot && self.config.cluster.is_none() && found.index == 0 && marker == 0 {
            return Err(nothing_left(self.folder));
        }
        let configuration = self.configuration();
        let (place, received) = (found.place.clone(), found.received);
        let beginning = Beginning {
            remembered: self.group,
            restored: found.index,
            place: found.place,
            accept_loss,
            received,
            forgets,
            recovers: recovery.filter(|ensemble| *ensemble > 0),
            levels: self.levels,
        };
        let (server, seed) = (self.config.id, self.seed);
        let others = settings::others(self.config, own.id, own.forgot);
        let joining = Joining::Framed;
        let replica = Replica::new(id, server, joining, beginning, others, seed, journal)
            .map_err(|reason| unusable(self.folder, reason))?;
        let every = settings::snapshot_every(self.config, self.options);
        let facts = Facts {
            server,
            configuration,
            environment: system.environment.clone(),
            descriptors: system.descriptors,
        };
        let recovery_note = recovery::path(self.folder);
        let mut side = CoordinatorSide::new(
            found.core,
            replica,
            Snapshots::new(folder, every, found.index, received),
            place,
            facts,
            settings::leaderless(self.options),
            self.seed,
        );
        if forgets {
            side.remove_when_known(note);
        }
        if recovery.is_some() {
            side.renew_history(recovery_note);
        }
        Ok(side)
    }

    /// Whether the others have all that a damaged snapshot had.
    fn others_have_all(&self) -> bool {
        let none = std::iter::empty();
        let have_all = others_have_all(self.config.id, self.group.as_ref(), None, none);
        self.config.cluster.is_some() && have_all
    }

    /// Whether this server has forgotten what it promised to others.
    fn forgets(&self, found: &Found, accept_loss: bool) -> bool {
        let last = self.group.as_ref();
        let last = last.map_or(0, consensus::Remembered::last_index);
        // An older journal: its operator has accepted that.
        let is_behind = found.index > last && !found.received;
        // One whose ensemble goes on elsewhere throws away what it has when it is told to.
        let members = |group: &consensus::Remembered| Membership::decode(&group.marker.state);
        let members = self.group.as_ref().map(members);
        let is_replaced = matches!(members, Some(Ok(members)) if members.replaced);
        let lost = self.lost || found.lost || accept_loss && (is_behind || is_replaced);
        let was_alone = was_alone(self.config.id, self.group.as_ref(), found.place.as_ref());
        self.config.cluster.is_some() && lost && !was_alone
    }

    /// Whether it was written down that this server has forgotten, and the journal does not know of it yet.
    fn is_noted(&self, note: &Path, disk: &mut dyn Disk) -> Result<bool, Error> {
        let noted = disk::read_if_there(disk, note)
            .map_err(|error| disk_refused("read what this server has forgotten", error))?;
        let noted = noted.filter(|_| self.config.cluster.is_some());
        let own = noted.as_deref().and_then(Own::read);
        Ok(noted.is_some() && !own.is_some_and(|own| self.is_member(own.id)))
    }

    /// Whether the journal knows this server as a member by this.
    fn is_member(&self, journal: u128) -> bool {
        let server = self.config.id;
        let identity = Identity { server, journal };
        let marker = self.group.as_ref().map(|group| &group.marker);
        let members = marker.map(|marker| Membership::decode(&marker.state));
        members.is_some_and(|it| it.is_ok_and(|it| it.number_of(identity).is_some()))
    }

    /// Becomes somebody else to the others, before anything else is done with what is left.
    ///
    /// A note comes first and stays until the journal knows of it: the process may end between any two of these steps.
    fn forget(
        &self,
        note: &Path,
        options: &coordinator::Options,
        accept_loss: bool,
        disk: &mut dyn Disk,
    ) -> Result<Found, Error> {
        let folder = self.folder.coordinator();
        let refused = |error| disk_refused("become a new member of the ensemble", error);
        warn!(
            folder = %folder.display(),
            "this server has lost a part of what it remembered: it is a new member of the ensemble from now on, and gets \
             everything from the others; its snapshots are put aside"
        );
        let own = Own {
            id: self.fresh,
            forgot: !accept_loss,
        };
        for path in [note.to_path_buf(), folder.join(IDENTITY)] {
            let pieces = vec![own.text()];
            disk.run(Operation::Replace { path, pieces })
                .map_err(refused)?;
        }
        snapshots::set_aside(&folder, disk).map_err(refused)?;
        disk::remove_if_there(disk, &receiving::mark(&folder)).map_err(refused)?;
        Ok(Found {
            core: Coordinator::new(options.clone(), self.seed),
            index: 0,
            place: None,
            received: false,
            lost: true,
        })
    }

    /// By what the others know this server: its journal, or what has taken that one's place. Once an operator has accepted
    /// the loss, it may found an ensemble with others that are new.
    fn identity(
        &self,
        journal: u128,
        accept_loss: bool,
        disk: &mut dyn Disk,
    ) -> Result<Own, Error> {
        let path = self.folder.coordinator().join(IDENTITY);
        let refused = |error| disk_refused("read who this server is", error);
        let Some(bytes) = disk::read_if_there(disk, &path).map_err(refused)? else {
            let (id, forgot) = (journal, false);
            return Ok(Own { id, forgot });
        };
        let Some(mut own) = Own::read(&bytes) else {
            return Err(Error::new(Code::E0202, format!("read {}", path.display()))
                .means("Who this server is to its ensemble is not known; it does not start.")
                .cure("Restore the file from a copy of data/."));
        };
        if own.forgot && accept_loss {
            own.forgot = false;
            let pieces = vec![own.text()];
            let refused = |error| disk_refused("write down who this server is", error);
            disk.run(Operation::Replace { path, pieces })
                .map_err(refused)?;
        }
        Ok(own)
    }

    fn configuration(&self) -> Configuration {
        let ms = |time: Duration| i32::try_from(time.as_millis()).unwrap_or(i32::MAX);
        Configuration {
            client_port: self.port,
            data_folder: self.folder.coordinator().display().to_string(),
            journal_folder: self.folder.journal().display().to_string(),
            tick_ms: u32::try_from(self.options.tick_time.as_millis()).unwrap_or(u32::MAX),
            connections_per_address_max: self.options.connections_per_address_max.unwrap_or(0),
            session_timeout_min_ms: ms(self.options.session_timeout_min),
            session_timeout_max_ms: ms(self.options.session_timeout_max),
            server_id: self.config.cluster.as_ref().map_or(0, |_| self.config.id.0),
            ensemble: self
                .config
                .cluster
                .as_ref()
                .map(|cluster| settings::ensemble(cluster, self.config.id)),
        }
    }
}

fn nothing_left(server: &ServerFolder) -> Error {
    let what =
        "this server was one of several, has forgotten what it had, and was not taken in again";
    Error::new(Code::E0201, what)
        .means("The server does not start: alone it would serve an empty tree.")
        .cure(format!(
            "Put cluster.servers back, and start the other servers; or begin with an empty tree: {}.",
            run_without(server)
        ))
}

fn snapshot_refused(server: &ServerFolder, error: RestoreError) -> Error {
    match error {
        RestoreError::Disk(error) => disk_refused("read the coordinator's snapshot", error),
        RestoreError::Snapshot {
            source: SnapshotError::Version(_),
            ..
        } => newer_data("read the coordinator's snapshot", error),
        RestoreError::Level { .. } => unsupported("read the coordinator's snapshot", error),
        error => Error::new(Code::E0202, "read the coordinator's snapshot")
            .because(error)
            .means("The tree cannot be read back; the server does not start.")
            .cure(format!(
                "Restore the file from a copy of data/; or go on with what the journal still holds: {}.",
                run_without(server)
            )),
    }
}

fn unusable(folder: &ServerFolder, reason: Unusable) -> Error {
    if reason.is_of_level() {
        return unsupported("read the journal", reason);
    }
    if let Unusable::Newer { .. } | Unusable::Shared { .. } = reason {
        return newer_data("read the journal", reason);
    }
    Error::new(Code::E0201, "read the journal")
        .because(reason)
        .means("The server does not start.")
        .cure(format!(
            "Keep a copy of data/, look at it with `chrysalis dump journal {}`, and restore data/journal; or lose \
             what the journal no longer holds: {}.",
            flag(folder),
            run_without(folder)
        ))
}

/// What the broker is opened from.
struct BrokerStart<'a> {
    config: &'a Config,
    options: &'a config::Broker,
    port: u16,
    folder: &'a ServerFolder,
    group: Option<consensus::Remembered>,
    /// The journal is damaged, and that is accepted.
    lost: bool,
    seed: Seed,
}

impl BrokerStart<'_> {
    fn open(
        self,
        accept_loss: bool,
        system: &System,
        journal: &mut Journal,
        disk: &mut dyn Disk,
    ) -> Result<BrokerSide, Error> {
        let data_folders = settings::data_folders(self.options);
        let checkpoint_path = self.checkpoint_path();
        let mut found = topics::read(
            self.folder,
            &data_folders,
            &checkpoint_path,
            &self.options.topics,
            accept_loss,
            disk,
        )?;
        let marker = self.group.as_ref().map_or(0, |group| group.marker.index);
        if found.applied < marker && !accept_loss {
            return Err(Error::new(
                Code::E0203,
                format!(
                    "the journal begins behind entry {marker}, but {} holds only {}",
                    checkpoint_path.display(),
                    found.applied
                ),
            )
            .means("Acknowledged messages may be missing; the server does not start.")
            .cure(format!(
                "Restore the file; or take the message files as they are: {}.",
                run_without(self.folder)
            )));
        }
        // The second: a start that accepted a loss ended before its journal said so.
        let last = self
            .group
            .as_ref()
            .map_or(0, consensus::Remembered::last_index);
        if self.lost || last < found.applied {
            found.forsake();
        }
        let id = GroupId::broker(self.config.id);
        let beginning = Beginning {
            remembered: self.group,
            restored: found.applied,
            place: None,
            accept_loss,
            received: false,
            forgets: false,
            recovers: None,
            // Nobody else has to read what its only member writes.
            levels: Levels::FIRST,
        };
        let (server, seed) = (self.config.id, self.seed);
        let replica = Replica::new(id, server, Joining::Alone, beginning, None, seed, journal)
            .map_err(|reason| unusable(self.folder, reason))?;
        let options = settings::broker(self.config, self.options, self.port, &data_folders, system);
        let there = found.folders();
        let mut core = Broker::open(options, self.seed, found);
        core.restore_skips(&topics::read_skips(&checkpoint_path, disk));
        let sync_all = (system.syncs_as_one)(&data_folders);
        let open_max = Shares::of(self.config, system.descriptors_max)?.written;
        let mut files = SegmentFiles::new(id, data_folders, checkpoint_path, open_max, sync_all);
        for (data_folder, name) in there {
            files.found(data_folder, &name);
        }
        Ok(BrokerSide::new(self.config.id, core, replica, files))
    }

    fn checkpoint_path(&self) -> PathBuf {
        self.folder.broker().join("checkpoint")
    }
}
