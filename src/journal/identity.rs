//! The file `journal.id`: which journal this folder holds, and in which format. A short text, so that a person
//! can read it:
//!
//! ```text
//! chrysalis journal
//! format 1
//! id 6f1c2a...        32 hexadecimal digits
//! check 1a2b3c4d      crc32 of the lines above
//! ```
//!
//! It is written last when a journal is made. Where it is missing, nothing was ever acknowledged; where it is
//! present, the files must be too.

use super::format::FORMAT;

/// Its name in the journal's folder.
pub(super) const NAME: &str = "journal.id";
/// It is not longer than this, whatever a later format adds.
pub(super) const BYTES_MAX: usize = 4096;

/// What the file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    /// The journal's id.
    Known([u8; 16]),
    /// A later format.
    Newer(u64),
    /// Not what this code or a later one writes.
    Damaged,
}

/// The file's text.
pub(super) fn encode(id: [u8; 16]) -> String {
    let digits: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let text = format!("chrysalis journal\nformat {FORMAT}\nid {digits}\n");
    let check = crc32fast::hash(text.as_bytes());
    format!("{text}check {check:08x}\n")
}

/// Reads it.
pub(super) fn decode(bytes: &[u8]) -> Identity {
    read(bytes).unwrap_or(Identity::Damaged)
}

fn read(bytes: &[u8]) -> Option<Identity> {
    let text = str::from_utf8(bytes).ok()?;
    let checked = text.strip_suffix('\n')?.rfind('\n')? + 1;
    let check = text[checked..].trim_end().strip_prefix("check ")?;
    if u32::from_str_radix(check, 16).ok()? != crc32fast::hash(&bytes[..checked]) {
        return None;
    }
    let mut lines = text[..checked].lines();
    if lines.next()? != "chrysalis journal" {
        return None;
    }
    let format: u64 = lines.next()?.strip_prefix("format ")?.parse().ok()?;
    if format != u64::from(FORMAT) {
        return Some(Identity::Newer(format));
    }
    let digits = lines.next()?.strip_prefix("id ")?;
    let id = u128::from_str_radix(digits, 16)
        .ok()
        .filter(|_| digits.len() == 32)?;
    Some(Identity::Known(id.to_be_bytes()))
}

#[cfg(test)]
mod tests;
