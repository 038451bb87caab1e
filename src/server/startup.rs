//! From a folder to a node: the journal is opened, each core gets back what its own files hold, and the
//! replicas give out the rest in the first turns.
//!
//! Nothing here waits for anything but the disk, through the same [`Disk`] that serves later, so a
//! simulation starts servers as the real shell does.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use tracing::{error, info, warn};

use super::advice::{disk_refused, flag, newer_data, run_without, unsupported};
use super::damaged_journal::DamagedJournal;
use super::descriptors::Shares;
use super::system::{Random, System};
use super::{recovery, settings, topics};
use crate::appliance::Ports;
use crate::broker::Broker;
use crate::config::{self, Config, ServerFolder};
use crate::consensus::{self, Identity, Membership};
use crate::coordinator::{self, Coordinator, SnapshotError};
use crate::disk::{self, Class, Disk, Operation};
use crate::journal::{self, Damage, Journal, OpenError, Recovered, Salvage};
use crate::node::broker::BrokerSide;
use crate::node::broker::segment_files::SegmentFiles;
use crate::node::coordinator::four_letter::Facts;
use crate::node::coordinator::snapshots::{self, Found, RestoreError, Snapshots};
use crate::node::coordinator::{CoordinatorSide, FORGOT, receiving};
use crate::node::replica::{
    Beginning, Joining, Replica, Unusable, check_level, others_have_all, was_alone,
};
use crate::node::{Node, Parts};
use crate::report::{Code, Error, shell_word};
use crate::units::feature::Levels;
use crate::units::{GroupId, Seed};
use crate::wire::zookeeper::four_letter::Configuration;

/// The file in `data/` that says that there is a journal: a folder that is not mounted looks like one that never was.
const JOURNAL_KNOWN: &str = "has-journal";
const JOURNAL_KNOWN_TEXT: &[u8] =
    b"This server has a journal in data/journal: without it, it does not start as if it were new.\n";

/// The file in `data/coordinator/` that says who the server is to its ensemble, since it lost what it was.
const IDENTITY: &str = "identity";

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

/// What the journal is opened from.
struct JournalStart<'a> {
    config: &'a Config,
    folder: &'a ServerFolder,
    accept_loss: bool,
    /// Random bits.
    fresh: [u8; 16],
}

/// A journal that serves.
struct JournalOpened {
    journal: Journal,
    recovered: Recovered,
    /// There was another one, and this one is new.
    renewed: bool,
    /// It was put aside before, and is here again: what its operator has accepted is the broker's loss.
    is_back: bool,
    /// Why the broker serves nobody: what is left of it waits for its operator.
    broker_held: Option<String>,
}

impl JournalStart<'_> {
    fn open(&self, disk: &mut dyn Disk) -> Result<JournalOpened, Error> {
        let known = self.folder.data().join(JOURNAL_KNOWN);
        let was_there = disk::read_whole(disk, &known).is_ok();
        let damaged = DamagedJournal::of(self.folder);
        damaged.finish(disk).map_err(not_aside)?;
        if was_there && !self.accept_loss && self.is_missing(&damaged, disk)? {
            return Err(journal_missing(self.folder));
        }
        let is_held = damaged.holds_broker(disk).map_err(not_aside)?;
        let is_back = self.accept_loss
            && is_held
            && damaged.is_there(disk).map_err(not_aside)?
            && self.bring_back(&damaged, disk)?;
        let options = settings::journal(self.config, self.folder, self.accept_loss);
        let (journal, recovered) = match Journal::open(disk, options.clone(), self.fresh) {
            Err(OpenError::Damaged(damage)) if self.puts_aside(&damaged, &damage, disk)? => {
                Journal::open(disk, options, self.fresh)
            }
            opened => opened,
        }
        .map_err(|error| journal_refused(self.folder, error))?;
        if !was_there {
            note_journal(known, disk);
        }
        tell_of(&recovered);
        let is_held = !self.accept_loss && damaged.holds_broker(disk).map_err(not_aside)?;
        let broker_held = match is_held && self.config.broker.is_some() {
            true => Some(self.held(&damaged, disk)?),
            false => None,
        };
        if let Some(why) = &broker_held {
            error!("{why}");
        }
        Ok(JournalOpened {
            // One that was gone is as good as lost.
            renewed: was_there && recovered.created,
            journal,
            recovered,
            is_back,
            broker_held,
        })
    }

    /// Whether the journal is gone that was there. One that is on its way aside is not.
    fn is_missing(&self, damaged: &DamagedJournal, disk: &mut dyn Disk) -> Result<bool, Error> {
        if damaged.has_present(disk).map_err(not_aside)? {
            return Ok(false);
        }
        let noted = disk::read_if_there(disk, &self.forgotten_note()).map_err(not_aside)?;
        let is_aside = noted.is_some() && damaged.is_there(disk).map_err(not_aside)?;
        Ok(!is_aside)
    }

    /// Puts a damaged journal aside, where the others have all that the coordinator has lost with it. Where nothing tells that, an
    /// operator decides.
    fn puts_aside(
        &self,
        damaged: &DamagedJournal,
        damage: &Damage,
        disk: &mut dyn Disk,
    ) -> Result<bool, Error> {
        if self.accept_loss || self.config.cluster.is_none() || self.config.coordinator.is_none() {
            return Ok(false);
        }
        let is_held = damaged.holds_broker(disk).map_err(not_aside)?;
        if !is_held && damaged.is_there(disk).map_err(not_aside)? {
            // Somebody has put something there.
            return Ok(false);
        }
        let noted = disk::read_if_there(disk, &self.forgotten_note()).map_err(not_aside)?;
        let left = self.salvage(&self.folder.journal(), disk)?;
        if noted.is_none() && !self.others_have_all(&left, disk)? {
            return Ok(false);
        }
        warn!(
            file = %damage.path.display(),
            byte = damage.position,
            batch = damage.sequence,
            acknowledged = damage.acknowledged,
            what = damage.what,
            to = %damaged.folder().display(),
            "the journal is damaged, and put aside: this server asks the others to take it in again, and for all of the coordinator's"
        );
        let path = self.folder.coordinator().join(IDENTITY);
        let identity = disk::read_if_there(disk, &path).map_err(not_aside)?;
        self.note_forgotten(disk).map_err(not_aside)?;
        let own = GroupId::broker(self.config.id);
        let has_broker = self.config.broker.is_some() || left.groups.contains_key(&own);
        damaged
            .put_aside(has_broker, identity.unwrap_or_default(), disk)
            .map_err(not_aside)?;
        Ok(true)
    }

    /// Has the journal back that was put aside, and with it the broker. Whoever was taken in again meanwhile is a new member once
    /// more. Whoever was not is again who it was: nobody was promised anything since.
    fn bring_back(&self, damaged: &DamagedJournal, disk: &mut dyn Disk) -> Result<bool, Error> {
        let aside = self.salvage(damaged.folder(), disk)?;
        refuse_another_server(self.config, aside.groups.keys())?;
        let present = match damaged.has_present(disk).map_err(not_aside)? {
            true => self.salvage(&self.folder.journal(), disk)?,
            false => Salvage::default(),
        };
        let group = present.groups.get(&GroupId::COORDINATOR);
        let is_member = |group: &consensus::Remembered| {
            !group.marker.state.is_empty() || !group.entries.is_empty()
        };
        let was_taken_in = group.is_some_and(is_member);
        if was_taken_in && !self.others_have_all(&present, disk)? {
            return Err(alone_with_the_tree(self.folder));
        }
        if was_taken_in {
            self.note_forgotten(disk).map_err(not_aside)?;
        } else {
            self.remember(&damaged.identity(disk).map_err(not_aside)?, disk)
                .map_err(not_aside)?;
        }
        damaged.bring_back(disk).map_err(not_aside)?;
        if !was_taken_in {
            let path = self.forgotten_note();
            match disk.run(Operation::Remove { path }) {
                Err(error) if error.class != Class::Missing => return Err(not_aside(error)),
                _ => {}
            }
        }
        Ok(true)
    }

    fn salvage(&self, journal: &Path, disk: &mut dyn Disk) -> Result<Salvage, Error> {
        journal::salvage(disk, journal).map_err(|error| journal_refused(self.folder, error))
    }

    fn others_have_all(&self, left: &Salvage, disk: &mut dyn Disk) -> Result<bool, Error> {
        let place = snapshots::newest_place(&self.folder.coordinator(), disk).map_err(not_aside)?;
        let id = GroupId::COORDINATOR;
        let behind = left.behind.iter().filter(|(group, _)| *group == id);
        let behind = behind.map(|(_, record)| record);
        let group = left.groups.get(&id);
        Ok(others_have_all(
            self.config.id,
            group,
            place.as_ref(),
            behind,
        ))
    }

    /// The coordinator is a new member from this start on, whatever is found.
    fn note_forgotten(&self, disk: &mut dyn Disk) -> Result<(), disk::Error> {
        disk::folder::make_to_last(disk, &self.folder.coordinator())?;
        let text = format!("{:032x}\n", u128::from_be_bytes(self.fresh));
        let (path, pieces) = (self.forgotten_note(), vec![Bytes::from(text)]);
        disk.run(Operation::Replace { path, pieces }).map(drop)
    }

    /// The server is again who it was.
    fn remember(&self, identity: &[u8], disk: &mut dyn Disk) -> Result<(), disk::Error> {
        let path = self.folder.coordinator().join(IDENTITY);
        let operation = match identity.is_empty() {
            true => Operation::Remove { path },
            false => Operation::Replace {
                path,
                pieces: vec![Bytes::copy_from_slice(identity)],
            },
        };
        match disk.run(operation) {
            Err(error) if error.class != Class::Missing => return Err(error),
            _ => {}
        }
        snapshots::take_back(&self.folder.coordinator(), disk)
    }

    fn forgotten_note(&self) -> PathBuf {
        self.folder.coordinator().join(FORGOT)
    }

    fn held(&self, damaged: &DamagedJournal, disk: &mut dyn Disk) -> Result<String, Error> {
        let folder = damaged.folder().display().to_string();
        let where_it_is = match damaged.is_there(disk).map_err(not_aside)? {
            true => format!(
                "its journal was damaged, and is in {folder} now; see what is missing (`chrysalis dump journal {}`), restore the \
                 file there or leave it as it is",
                shell_word(&folder)
            ),
            false => format!(
                "its journal was damaged, and is not in {folder} any more; put it back there, or lose all that was in it"
            ),
        };
        Ok(format!(
            "the broker serves nobody: {where_it_is}; then, while all other servers are there, stop this one and start it with {}",
            run_without(self.folder)
        ))
    }
}

/// The disk refused while a damaged journal was looked for, or moved.
fn not_aside(error: disk::Error) -> Error {
    disk_refused("put a damaged journal aside, or take it back", error)
}

fn alone_with_the_tree(folder: &ServerFolder) -> Error {
    Error::new(
        Code::E0308,
        "take the broker's damaged journal again",
    )
    .means("The server does not start: its coordinator would have to get everything from the other servers, and they may not have it.")
    .cure(format!(
        "Start it without --accept-loss, and see `chrysalis cluster status {}`: when another voter may be lost, try again.",
        flag(folder)
    ))
}

/// Writes down that there is a journal.
fn note_journal(path: PathBuf, disk: &mut dyn Disk) {
    let known = Operation::Replace {
        path,
        pieces: vec![Bytes::from_static(JOURNAL_KNOWN_TEXT)],
    };
    // On a full disk the server starts all the same; the next start writes it.
    if let Err(error) = disk.run(known) {
        warn!(%error, "that there is a journal is not written down");
    }
}

fn tell_of(recovered: &Recovered) {
    if let Some(cut) = &recovered.cut {
        info!(
            file = %cut.path.display(),
            byte = cut.position,
            batch = cut.sequence,
            "a torn tail of the journal is cut off; nothing acknowledged was in it"
        );
    }
    if let Some(loss) = &recovered.loss {
        warn!(
            file = %loss.path.display(),
            byte = loss.position,
            batch = loss.sequence,
            acknowledged = loss.acknowledged,
            what = loss.what,
            lost = %recovered.lost,
            "damage in the journal is accepted: everything written after it is lost, also what is whole; `lost` is what \
             the journal can tell of"
        );
    }
}

fn journal_missing(folder: &ServerFolder) -> Error {
    let journal = folder.journal();
    Error::new(
        Code::E0201,
        format!("{} is gone, and this server had a journal", journal.display()),
    )
    .means("The server does not start: what was acknowledged and is in no snapshot or checkpoint is in the journal alone.")
    .cure(format!(
        "Mount it or put it back. Or lose what was in it, and begin a new one: {}.",
        run_without(folder)
    ))
}

fn journal_refused(folder: &ServerFolder, error: OpenError) -> Error {
    match error {
        OpenError::Damaged(damage) => Error::new(Code::E0201, "open the journal")
            .because(OpenError::Damaged(damage))
            .means("Acknowledged entries cannot be read; the server does not start.")
            .cure(format!(
                "Keep a copy of data/, see what is missing with `chrysalis dump journal {}`, and restore the \
                 file; or lose everything written after the damage, also what is whole: {}.",
                flag(folder),
                run_without(folder)
            )),
        OpenError::Newer { .. } => newer_data("open the journal", error),
        OpenError::Options(_) => Error::new(Code::E0001, "open the journal")
            .because(error)
            .means("The server does not start.")
            .cure("Correct the [journal] section."),
        OpenError::Disk(error) => disk_refused("open the journal", error),
    }
}

/// Before anything is opened: to another broker the message files are those of a journal that has lost everything.
fn refuse_another_server<'a>(
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
        let path = receiving::mark(&folder);
        match disk.run(Operation::Remove { path }) {
            Err(error) if error.class != Class::Missing => return Err(refused(error)),
            _ => {}
        }
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
