//! Paths of znodes: what is well formed, and what lies above.
//!
//! A path is judged as ZooKeeper judges it, by the UTF-16 units its Java server sees. What is no
//! standard UTF-8 would have become U+FFFD there, which is forbidden as well, so it is refused here.

#[cfg(test)]
mod tests;

/// Where the server keeps what is its own.
pub(super) const PROC: &[u8] = b"/zookeeper";
/// Where quotas live.
pub(super) const QUOTA: &[u8] = b"/zookeeper/quota";
/// Where the ensemble's members would be.
pub(super) const CONFIG: &[u8] = b"/zookeeper/config";

/// Whether a znode may have this path.
pub(super) fn is_valid(path: &[u8]) -> bool {
    if path == b"/" {
        return true;
    }
    let Some((b'/', names)) = path.split_first() else {
        return false;
    };
    names
        .split(|&byte| byte == b'/')
        .all(|name| !matches!(name, b"" | b"." | b".."))
        && has_only_permitted_characters(names)
}

fn has_only_permitted_characters(bytes: &[u8]) -> bool {
    if bytes.iter().all(|byte| (0x20..0x7f).contains(byte)) {
        return true;
    }
    std::str::from_utf8(bytes).is_ok_and(|text| text.chars().all(is_permitted))
}

fn is_permitted(character: char) -> bool {
    !matches!(
        character,
        '\u{0}'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{e000}'..='\u{f8ff}'
            | '\u{fff0}'..='\u{ffff}'
            | '\u{10000}'..
    )
}

/// What a write refuses before it looks at the tree: no slash, or a NUL.
pub(super) fn parent_if_plausible(path: &[u8]) -> Option<&[u8]> {
    let slash = path.iter().rposition(|&byte| byte == b'/')?;
    if path.contains(&0) {
        return None;
    }
    path.get(..slash)
}

/// The parent of a valid path other than the root; of a child of the root it is `/`.
pub(super) fn parent(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|&byte| byte == b'/') {
        None | Some(0) => b"/",
        Some(slash) => &path[..slash],
    }
}

/// Whether the server keeps this znode for itself: it cannot be deleted.
pub(super) fn is_kept(path: &[u8]) -> bool {
    path == b"/" || path == PROC || path == QUOTA || path == CONFIG
}
