//! The voters of a group as a marker keeps them: version 1, then each as a 64-bit number.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The form of the bytes.
const VERSION: u8 = 1;

/// Why a marker's voters cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// A later version wrote them.
    #[error("the voters in its marker are of version {0}")]
    Newer(u8),
    /// Their bytes do not add up.
    #[error("its marker's voters cannot be read")]
    Malformed,
}

/// The bytes of these voters.
pub(super) fn encode(voters: &[u64]) -> Bytes {
    let mut state = BytesMut::with_capacity(1 + 8 * voters.len());
    state.put_u8(VERSION);
    for voter in voters {
        state.put_u64(*voter);
    }
    state.freeze()
}

/// The voters in these bytes; none where nothing was written yet.
pub(super) fn decode(state: &Bytes) -> Result<Vec<u64>, Unreadable> {
    let mut state = state.clone();
    let Ok(version) = state.try_get_u8() else {
        return Ok(Vec::new());
    };
    if version != VERSION {
        return Err(Unreadable::Newer(version));
    }
    if !state.len().is_multiple_of(8) {
        return Err(Unreadable::Malformed);
    }
    Ok(std::iter::from_fn(|| state.try_get_u64().ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn voters_come_back_as_they_were() {
        for voters in [vec![], vec![1], vec![1, 2, 3, u64::MAX]] {
            assert_eq!(decode(&encode(&voters)), Ok(voters));
        }
        assert_eq!(decode(&Bytes::new()), Ok(vec![]));
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        assert_eq!(decode(&Bytes::from_static(&[2])), Err(Unreadable::Newer(2)));
        assert_eq!(
            decode(&Bytes::from_static(&[1, 0, 0])),
            Err(Unreadable::Malformed)
        );
    }
}
