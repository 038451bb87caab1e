//! The image as a mounted file system, until the power goes.
//!
//! The power goes in the middle of a write or a sync that was chosen beforehand. From then on nothing is answered, so that
//! the server can tell nobody about anything that did not happen; when it has been killed, `after_the_cut` gives what is left.

use super::image::{About, Image, Kind};
use crate::harness::dice::Dice;
use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow,
    WriteFlags,
};
use nix::fcntl::OFlag;
use std::any::Any;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The kernel may not remember anything: another run has another disk.
const NO_TIME: Duration = Duration::ZERO;

struct State {
    image: Image,
    dice: Dice,
    /// Writes and syncs until the power goes.
    left: u64,
    power: Power,
    /// Requests that will never be answered, until the process that asks is being killed.
    unanswered: Vec<Box<dyn Any + Send>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Power {
    On,
    /// Nothing is answered.
    Off,
    /// Everything is answered with an error, so that the kernel lets go of the killed process.
    Gone,
}

/// A mounted disk.
pub(super) struct Disk {
    state: Arc<Mutex<State>>,
    session: Option<BackgroundSession>,
    point: PathBuf,
}

impl Disk {
    /// Mounts the image; the power goes in the `operations`-th write or sync from now. In a namespace of its own, because
    /// a copy of the mount in another one would keep the file system alive after its end here.
    pub(super) fn mount(image: Image, point: &Path, operations: u64, dice: Dice) -> Disk {
        let state = State {
            image,
            dice,
            left: operations,
            power: Power::On,
            unanswered: Vec::new(),
        };
        let state = Arc::new(Mutex::new(state));
        let mut config = Config::default();
        config
            .mount_options
            .push(fuser::MountOption::FSName("chrysalis-test".to_owned()));
        let session = fuser::spawn_mount(
            Shell {
                state: Arc::clone(&state),
            },
            point,
            &config,
        )
        .expect("mount a FUSE file system (as root, with /dev/fuse)");
        Disk {
            state,
            session: Some(session),
            point: point.to_owned(),
        }
    }

    /// Makes everything durable.
    pub(super) fn sync_all(&self) {
        lock(&self.state).image.sync_all();
    }

    /// Has the power go in the `operations`-th write or sync from now.
    pub(super) fn arm(&self, operations: u64) {
        lock(&self.state).left = operations;
    }

    /// True when the power is gone.
    pub(super) fn is_dark(&self) -> bool {
        lock(&self.state).power != Power::On
    }

    /// Turns the power off now, if it is not off yet.
    pub(super) fn cut(&self) {
        let mut state = lock(&self.state);
        if state.power == Power::On {
            state.power = Power::Off;
        }
    }

    /// Lets the kernel get rid of the killed process.
    pub(super) fn let_go(&self) {
        let unanswered = {
            let mut state = lock(&self.state);
            state.power = Power::Gone;
            std::mem::take(&mut state.unanswered)
        };
        // A reply that is dropped tells the kernel of an input/output error.
        drop(unanswered);
    }

    /// What is left on the platter, with the dice that go on.
    pub(super) fn after_the_cut(mut self) -> (Image, Dice) {
        if let Some(session) = self.session.take()
            && let Err(error) = session.umount_and_join()
        {
            let number = error.raw_os_error();
            if number == Some(Errno::EBUSY.code()) {
                // A program that another test starts has our files for a moment, until it is itself. Nobody writes to them.
                let lazily = Command::new("umount").arg("-l").arg(&self.point).output();
                lazily.expect("umount is there");
            } else {
                // A request of the kernel's that the unmounting overtook is no failure.
                let overtaken = Some(Errno::ECONNABORTED.code());
                assert_eq!(number, overtaken, "unmount: {error}");
            }
        }
        let mut state = lock(&self.state);
        let mut image = state.image.clone();
        image.cut(&mut state.dice);
        let seed = state.dice.roll(u64::MAX >> 33);
        (image, Dice::from(seed))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.session.is_some() {
            self.let_go();
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the kernel talks to.
struct Shell {
    state: Arc<Mutex<State>>,
}

/// Answers with an error, or not at all, where there is no power; else gives the state and the reply.
macro_rules! powered {
    ($self:ident, $reply:ident) => {{
        let mut state = lock(&$self.state);
        match state.power {
            Power::On => (state, $reply),
            Power::Off => {
                state.unanswered.push(Box::new($reply));
                return;
            }
            Power::Gone => {
                drop(state);
                $reply.error(Errno::EIO);
                return;
            }
        }
    }};
}

impl State {
    /// Counts a write or a sync; true if the power goes in it.
    fn goes_dark(&mut self) -> bool {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            self.power = Power::Off;
        }
        self.left == 0
    }
}

fn attributes(about: About) -> FileAttr {
    let kind = match about.kind {
        Kind::File => FileType::RegularFile,
        Kind::Folder => FileType::Directory,
        Kind::Socket => FileType::Socket,
    };
    let now = SystemTime::now();
    FileAttr {
        ino: INodeNo(about.inode),
        size: about.length,
        blocks: about.length.div_ceil(512),
        atime: now,
        mtime: now,
        ctime: now,
        crtime: UNIX_EPOCH,
        kind,
        perm: about.mode,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

/// The permission bits of a mode.
fn permissions(mode: u32) -> u16 {
    u16::try_from(mode & 0o7777).expect("twelve bits")
}

impl Filesystem for Shell {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let (state, reply) = powered!(self, reply);
        match state.image.find(parent.0, name) {
            Some(about) => reply.entry(&NO_TIME, &attributes(about), Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        let (state, reply) = powered!(self, reply);
        match state.image.about(inode.0) {
            Some(about) => reply.attr(&NO_TIME, &attributes(about)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        inode: INodeNo,
        mode: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let (mut state, reply) = powered!(self, reply);
        if let Some(mode) = mode {
            state.image.set_mode(inode.0, permissions(mode));
        }
        if let Some(size) = size {
            state.image.set_length(inode.0, size);
        }
        let about = state.image.about(inode.0).expect("the kernel knows it");
        reply.attr(&NO_TIME, &attributes(about));
    }

    fn mknod(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        _: u32,
        reply: ReplyEntry,
    ) {
        let (mut state, reply) = powered!(self, reply);
        let socket = nix::sys::stat::SFlag::from_bits_truncate(mode)
            .contains(nix::sys::stat::SFlag::S_IFSOCK);
        let kind = if socket { Kind::Socket } else { Kind::File };
        let about = state.image.make(parent.0, name, kind, permissions(mode));
        reply.entry(&NO_TIME, &attributes(about), Generation(0));
    }

    fn mkdir(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        reply: ReplyEntry,
    ) {
        let (mut state, reply) = powered!(self, reply);
        let about = state
            .image
            .make(parent.0, name, Kind::Folder, permissions(mode));
        reply.entry(&NO_TIME, &attributes(about), Generation(0));
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let (mut state, reply) = powered!(self, reply);
        state.image.remove(parent.0, name);
        reply.ok();
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let (mut state, reply) = powered!(self, reply);
        let folder = state
            .image
            .find(parent.0, name)
            .expect("the kernel looked it up");
        if state.image.list(folder.inode).is_empty() {
            state.image.remove(parent.0, name);
            reply.ok();
        } else {
            reply.error(Errno::ENOTEMPTY);
        }
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        _: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let (mut state, reply) = powered!(self, reply);
        state.image.rename(parent.0, name, new_parent.0, new_name);
        reply.ok();
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let (_state, reply) = powered!(self, reply);
        reply.opened(FileHandle(0), FopenFlags::empty());
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let (mut state, reply) = powered!(self, reply);
        let about = state
            .image
            .make(parent.0, name, Kind::File, permissions(mode));
        reply.created(
            &NO_TIME,
            &attributes(about),
            Generation(0),
            FileHandle(0),
            FopenFlags::empty(),
        );
    }

    fn read(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let (state, reply) = powered!(self, reply);
        reply.data(
            &state
                .image
                .read(inode.0, offset, usize::try_from(size).expect("32 bits")),
        );
    }

    fn write(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        flags: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let (mut guard, reply) = powered!(self, reply);
        let state = &mut *guard;
        let durably = OFlag::from_bits_truncate(flags.0).contains(OFlag::O_DSYNC);
        if state.goes_dark() {
            if durably {
                state.image.tear(inode.0, offset, data, &mut state.dice);
            } else {
                state.image.write(inode.0, offset, data, false);
            }
            state.unanswered.push(Box::new(reply));
            return;
        }
        state.image.write(inode.0, offset, data, durably);
        reply
            .written(u32::try_from(data.len()).expect("the kernel writes less than 4 GiB at once"));
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        let (_state, reply) = powered!(self, reply);
        reply.ok();
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        // Nobody learns anything from it, and a killed process has to end.
        reply.ok();
    }

    fn fsync(&self, _: &Request, inode: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        let (mut state, reply) = powered!(self, reply);
        if state.goes_dark() {
            // It did its work or did not: nobody is told.
            if state.dice.roll(2) == 0 {
                state.image.sync(inode.0);
            }
            state.unanswered.push(Box::new(reply));
            return;
        }
        state.image.sync(inode.0);
        reply.ok();
    }

    fn readdir(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let state = lock(&self.state);
        if state.power == Power::Gone {
            drop(state);
            reply.error(Errno::EIO);
            return;
        }
        let entries = state.image.list(inode.0);
        let skip = usize::try_from(offset).expect("an offset of ours");
        for (index, (name, about)) in entries.into_iter().enumerate().skip(skip) {
            let next = u64::try_from(index + 1).expect("few");
            if reply.add(INodeNo(about.inode), next, attributes(about).kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn fsyncdir(&self, _: &Request, inode: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        let (mut state, reply) = powered!(self, reply);
        if state.goes_dark() {
            state.unanswered.push(Box::new(reply));
            return;
        }
        state.image.sync_folder(inode.0);
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let (_state, reply) = powered!(self, reply);
        // 4 GiB, all of it free.
        reply.statfs(1 << 20, 1 << 20, 1 << 20, 1 << 20, 1 << 20, 4096, 255, 4096);
    }

    fn fallocate(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let (mut state, reply) = powered!(self, reply);
        // Only growing: there are no holes to punch here.
        match mode {
            0 => {
                let end = (offset + length)
                    .max(state.image.about(inode.0).map_or(0, |about| about.length));
                state.image.set_length(inode.0, end);
                reply.ok();
            }
            1 => reply.ok(),
            _ => reply.error(Errno::EOPNOTSUPP),
        }
    }
}
