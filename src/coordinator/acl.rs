//! Who a client is, and who may do what with a znode.
//!
//! Both lists are kept as bytes in one canonical form, the form in which they travel in commands and
//! snapshots, so that a check walks over bytes and a list that many znodes share is stored once:
//!
//! ```text
//!   identities    { length u32, scheme, length u32, id } ...
//!   permissions   { bits i32, length u32, scheme, length u32, id } ...
//! ```
//!
//! Whoever asks is resolved where the request came in and travels with the command; what a list means
//! is decided when the command is applied.

use std::collections::{BTreeSet, HashMap};

use ahash::RandomState;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use sha1::{Digest, Sha1};

use super::digest;
use super::encoding::{put_text, text};
use super::vocabulary::{Acl, Shared, permissions};
use crate::cursor::{Reader, Truncated, Writer};

mod ip;
#[cfg(test)]
mod tests;

/// Bytes that the identities of one connection may take: each of its writes carries them.
const IDENTITIES_BYTES_MAX: usize = 16 << 10;

/// Bytes that the permissions of one znode may take once `auth` is resolved: each check walks over them,
/// and a short line of a client may stand for all its identities.
const PERMISSIONS_BYTES_MAX: usize = 16 << 10;
/// Lists beyond this are long: who walked over one need not do it again.
const LONG_BYTES: usize = 512;

/// Identities of so few bytes are compared one by one.
const FEW_BYTES: usize = 256;

/// Whoever has this may do everything.
const SUPER: &[u8] = b"super";

/// The identities of whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identities<'a>(&'a [u8]);

impl<'a> Identities<'a> {
    /// Identities in their canonical form, as [`Credentials`] holds them.
    ///
    /// # Errors
    /// The bytes end within an identity.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Identities<'a>, Truncated> {
        let mut reader = Reader::new(bytes);
        while !reader.is_empty() {
            text(&mut reader)?;
            text(&mut reader)?;
        }
        Ok(Identities(bytes))
    }

    /// Scheme and id of each.
    fn iter(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let mut reader = Reader::new(self.0);
        std::iter::from_fn(move || Some((text(&mut reader).ok()?, text(&mut reader).ok()?)))
    }

    fn include_super(self) -> bool {
        self.iter().any(|(scheme, _)| scheme == SUPER)
    }
}

/// What a connection has shown of itself so far.
#[derive(Clone, Debug)]
pub(super) struct Credentials(Bytes);

impl Credentials {
    /// A connection from this address, which has shown nothing else yet.
    pub(super) fn new(address: std::net::IpAddr, everything_permitted: bool) -> Credentials {
        let mut credentials = Credentials(Bytes::new());
        credentials.add(b"ip", address.to_canonical().to_string().as_bytes());
        if everything_permitted {
            credentials.add(SUPER, b"");
        }
        credentials
    }

    /// The identities, shared: a request keeps those of the moment in which it was read.
    pub(super) fn share(&self) -> Bytes {
        self.0.clone()
    }

    pub(super) fn identities(&self) -> Identities<'_> {
        Identities(&self.0)
    }

    /// Takes in an auth packet. Says whether it was convincing.
    pub(super) fn authenticate(
        &mut self,
        scheme: &[u8],
        data: &[u8],
        address: std::net::IpAddr,
        super_digest: Option<&str>,
    ) -> bool {
        match scheme {
            b"ip" => self.add(b"ip", address.to_canonical().to_string().as_bytes()),
            b"digest" => {
                let id = digest_id(data);
                if super_digest.is_some_and(|wanted| wanted.as_bytes() == id)
                    && !self.add(SUPER, b"")
                {
                    return false;
                }
                self.add(b"digest", &id)
            }
            _ => false,
        }
    }

    /// Adds an identity unless it is there. Says whether there was room.
    fn add(&mut self, scheme: &[u8], id: &[u8]) -> bool {
        if self.identities().iter().any(|known| known == (scheme, id)) {
            return true;
        }
        let bytes = self.0.len() + 8 + scheme.len() + id.len();
        if bytes > IDENTITIES_BYTES_MAX {
            return false;
        }
        let mut extended = BytesMut::with_capacity(bytes);
        let mut writer = Writer::new(&mut extended);
        writer.bytes(&self.0);
        put_text(&mut writer, scheme);
        put_text(&mut writer, id);
        self.0 = extended.freeze();
        true
    }
}

/// What `user:password` is known as. Without a colon all of it is the user, as in ZooKeeper.
fn digest_id(data: &[u8]) -> Vec<u8> {
    let user = data.split(|&byte| byte == b':').next().unwrap_or_default();
    let mut id = user.to_vec();
    id.push(b':');
    id.extend_from_slice(STANDARD.encode(Sha1::digest(data)).as_bytes());
    id
}

/// One line of permissions, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line<'a> {
    permissions: i32,
    scheme: &'a [u8],
    id: &'a [u8],
}

impl<'a> Line<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Line<'a>, Truncated> {
        Ok(Line {
            permissions: reader.i32()?,
            scheme: text(reader)?,
            id: text(reader)?,
        })
    }

    fn write(self, writer: &mut Writer<'_>) {
        writer.i32(self.permissions);
        put_text(writer, self.scheme);
        put_text(writer, self.id);
    }

    fn is_world(self) -> bool {
        self.scheme == b"world" && self.id == b"anyone"
    }

    fn names(self, scheme: &[u8], id: &[u8]) -> bool {
        self.scheme == scheme
            && match scheme {
                b"ip" => ip::matches(id, self.id),
                // Java's server knows no other scheme unless it is configured.
                b"digest" => self.id == id,
                _ => false,
            }
    }
}

/// Permissions in their canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Permissions<'a>(&'a [u8]);

impl<'a> Permissions<'a> {
    /// Permissions in their canonical form.
    ///
    /// # Errors
    /// The bytes end within a line.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Permissions<'a>, Truncated> {
        let mut reader = Reader::new(bytes);
        while !reader.is_empty() {
            Line::read(&mut reader)?;
        }
        Ok(Permissions(bytes))
    }

    fn lines(self) -> impl Iterator<Item = Line<'a>> {
        let mut reader = Reader::new(self.0);
        std::iter::from_fn(move || Line::read(&mut reader).ok())
    }

    /// Whether one of the `wanted` bits is granted to `asking`.
    fn permit(self, wanted: i32, asking: Identities<'_>) -> bool {
        if self.0.is_empty() || asking.include_super() {
            return true;
        }
        let mut lines = self.lines().filter(|line| line.permissions & wanted != 0);
        if asking.0.len() <= FEW_BYTES {
            return lines.any(|line| {
                line.is_world() || asking.iter().any(|(scheme, id)| line.names(scheme, id))
            });
        }
        // Long lists on both sides must not be compared each with each.
        let (digests, others): (BTreeSet<_>, Vec<_>) = {
            let (digests, others): (Vec<_>, Vec<_>) =
                asking.iter().partition(|(scheme, _)| *scheme == b"digest");
            (digests.into_iter().map(|(_, id)| id).collect(), others)
        };
        lines.any(|line| {
            line.is_world()
                || line.scheme == b"digest" && digests.contains(line.id)
                || others.iter().any(|(scheme, id)| line.names(scheme, id))
        })
    }

    /// The bits granted to everybody.
    fn world(self) -> i32 {
        self.lines()
            .filter(|line| line.is_world())
            .fold(0, |bits, line| bits | line.permissions)
    }

    /// What is stored when `asking` sets these permissions: `auth` becomes those who it is, lines that
    /// come twice are left out. `None` if there is nothing to store, an id that cannot be, or too much.
    pub(super) fn resolve(self, asking: Identities<'_>) -> Option<Resolved<'a>> {
        let mut lines = self.lines();
        let first = lines.next()?;
        if first.is_world() && lines.next().is_none() {
            return Some(Resolved::AsGiven(self.0));
        }
        let mut seen = BTreeSet::new();
        let mut resolved = BytesMut::with_capacity(self.0.len());
        let mut writer = Writer::new(&mut resolved);
        for line in self.lines() {
            if !seen.insert((line.scheme, line.id, line.permissions)) {
                continue;
            }
            let is_possible = match line.scheme {
                b"world" => line.is_world(),
                b"auth" => {
                    let mut somebody = false;
                    for (scheme, id) in asking.iter().filter(|(scheme, _)| *scheme == b"digest") {
                        somebody = true;
                        Line {
                            permissions: line.permissions,
                            scheme,
                            id,
                        }
                        .write(&mut writer);
                    }
                    somebody
                }
                b"digest" => is_digest_id(line.id),
                b"ip" => ip::is_valid(line.id),
                _ => false,
            };
            if !is_possible {
                return None;
            }
            if line.scheme != b"auth" {
                line.write(&mut writer);
            }
            if writer.position() > PERMISSIONS_BYTES_MAX {
                return None;
            }
        }
        Some(Resolved::Changed(resolved.freeze()))
    }

    /// For a reply. Without ADMIN a digest shows its user only.
    fn reveal(self, may_see_digests: bool) -> Vec<Acl> {
        let revealed = |line: Line<'_>| {
            let mut id = Bytes::copy_from_slice(line.id);
            if line.scheme == b"digest" && !may_see_digests {
                let colon = line.id.iter().position(|&byte| byte == b':');
                let user = colon.map_or(line.id, |colon| &line.id[..colon]);
                id = [user, b":x"].concat().into();
            }
            Acl {
                permissions: line.permissions,
                scheme: Bytes::copy_from_slice(line.scheme),
                id,
            }
        };
        self.lines().map(revealed).collect()
    }
}

/// Permissions to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Resolved<'a> {
    /// Nothing had to be changed.
    AsGiven(&'a [u8]),
    /// Something had to be.
    Changed(Bytes),
}

impl Resolved<'_> {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Resolved::AsGiven(bytes) => bytes,
            Resolved::Changed(bytes) => bytes,
        }
    }
}

/// `user:digest`, exactly two parts; Java's split drops empty parts at the end, and so do we.
fn is_digest_id(id: &[u8]) -> bool {
    let mut parts: Vec<&[u8]> = id.split(|&byte| byte == b':').collect();
    while parts.last().is_some_and(|part| part.is_empty()) {
        parts.pop();
    }
    parts.len() == 2
}

/// Writes the permissions a client gave.
pub(super) fn put_permissions(writer: &mut Writer<'_>, acl: &[Acl]) {
    for line in acl {
        Line {
            permissions: line.permissions,
            scheme: &line.scheme,
            id: &line.id,
        }
        .write(writer);
    }
}

/// The number of permissions in an [`AclTable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct AclId(pub(super) u32);

impl AclId {
    /// Everybody may do everything. Always in the table.
    pub(super) const OPEN: AclId = AclId(0);
}

/// Permissions, each list once, and how many znodes use it.
///
/// While the table is *held* (a snapshot is being taken) no number is given to another list.
#[derive(Debug)]
pub(super) struct AclTable {
    entries: Vec<AclEntry>,
    vacant: Vec<AclId>,
    numbers: HashMap<Shared, AclId, RandomState>,
    held: bool,
    unused: Vec<AclId>,
    /// About how much memory all lists take.
    bytes: u64,
}

/// What a list takes beside its lines.
const ENTRY_BYTES: usize = 128;

#[derive(Debug)]
struct AclEntry {
    permissions: Shared,
    digest: u64,
    world: i32,
    uses: u64,
}

impl AclTable {
    pub(super) fn new(hasher: RandomState) -> AclTable {
        let mut table = AclTable {
            entries: Vec::new(),
            vacant: Vec::new(),
            numbers: HashMap::with_hasher(hasher),
            held: false,
            unused: Vec::new(),
            bytes: 0,
        };
        let mut open = BytesMut::new();
        put_permissions(&mut Writer::new(&mut open), &[Acl::open()]);
        let id = table.take(&open);
        assert_eq!(id, AclId::OPEN, "the open list is the first, and stays");
        table
    }

    /// How many lists there are.
    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// About how much memory all lists take.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The number of these permissions, which one znode more uses now.
    pub(super) fn take(&mut self, permissions: &[u8]) -> AclId {
        if let Some(&id) = self.numbers.get(permissions) {
            self.retain(id);
            return id;
        }
        self.bytes += entry_bytes(permissions);
        let permissions: Shared = permissions.into();
        let entry = AclEntry {
            world: Permissions(&permissions).world(),
            digest: digest::permissions(&permissions),
            permissions: permissions.clone(),
            uses: 1,
        };
        let id = match self.vacant.pop() {
            Some(id) => {
                self.entries[id.0 as usize] = entry;
                id
            }
            None => {
                let number = u32::try_from(self.entries.len());
                self.entries.push(entry);
                AclId(number.expect("fewer than 2^32 lists fit in memory"))
            }
        };
        self.numbers.insert(permissions, id);
        id
    }

    /// One znode more uses permissions that are in use.
    pub(super) fn retain(&mut self, id: AclId) {
        self.entries[id.0 as usize].uses += 1;
    }

    /// One znode less uses these permissions.
    pub(super) fn release(&mut self, id: AclId) {
        let entry = &mut self.entries[id.0 as usize];
        entry.uses -= 1;
        if entry.uses > 0 {
            return;
        }
        if self.held {
            self.unused.push(id);
        } else {
            self.vacate(id);
        }
    }

    fn vacate(&mut self, id: AclId) {
        let entry = &mut self.entries[id.0 as usize];
        self.numbers.remove(&entry.permissions);
        self.bytes -= entry_bytes(&entry.permissions);
        entry.permissions = Shared::default();
        self.vacant.push(id);
    }

    /// From now on numbers keep their meaning.
    pub(super) fn hold(&mut self) {
        self.held = true;
    }

    /// Numbers may change their meaning again.
    pub(super) fn let_go(&mut self) {
        self.held = false;
        let mut unused = std::mem::take(&mut self.unused);
        unused.sort_unstable();
        unused.dedup();
        for id in unused {
            if self.entries[id.0 as usize].uses == 0 {
                self.vacate(id);
            }
        }
    }

    /// Whether it takes time to find out what a list permits.
    #[inline]
    pub(super) fn is_long(&self, id: AclId) -> bool {
        self.entries[id.0 as usize].permissions.len() > LONG_BYTES
    }

    /// What a list is known by in the digest of the state.
    #[inline]
    pub(super) fn digest(&self, id: AclId) -> u64 {
        self.entries[id.0 as usize].digest
    }

    pub(super) fn permissions(&self, id: AclId) -> &Shared {
        &self.entries[id.0 as usize].permissions
    }

    /// Whether one of the `wanted` bits is granted to `asking`.
    #[inline]
    pub(super) fn permit(&self, id: AclId, wanted: i32, asking: Identities<'_>) -> bool {
        let entry = &self.entries[id.0 as usize];
        entry.world & wanted != 0 || Permissions(&entry.permissions).permit(wanted, asking)
    }

    /// What `asking` is told about the permissions; `None` if nothing.
    pub(super) fn reveal(&self, id: AclId, asking: Identities<'_>) -> Option<Vec<Acl>> {
        if !self.permit(id, permissions::READ | permissions::ADMIN, asking) {
            return None;
        }
        let may_see_digests = self.permit(id, permissions::ADMIN, asking);
        Some(Permissions(self.permissions(id)).reveal(may_see_digests))
    }
}

fn entry_bytes(permissions: &[u8]) -> u64 {
    u64::try_from(ENTRY_BYTES + permissions.len()).expect("a usize has at most 64 bits")
}
