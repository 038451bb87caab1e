//! Decimal numbers as Java reads and writes them.
//!
//! Every number of the protocol is signed decimal text: `Integer.parseInt` accepts one leading `+` or
//! `-`, leading zeros, and nothing else; so does this. Written without the formatting machinery,
//! because each reply to a put holds five numbers.

use bytes::BytesMut;

/// The number a token spells, if it is one and fits.
pub(crate) fn parse_i64(token: &[u8]) -> Option<i64> {
    let (negative, digits) = match token {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    // Counted downwards, because the smallest number has no positive counterpart.
    let mut value = 0_i64;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value
            .checked_mul(10)?
            .checked_sub(i64::from(digit - b'0'))?;
    }
    if negative {
        Some(value)
    } else {
        value.checked_neg()
    }
}

/// The 32-bit number a token spells, if it is one and fits.
pub(crate) fn parse_i32(token: &[u8]) -> Option<i32> {
    parse_i64(token).and_then(|value| i32::try_from(value).ok())
}

/// Appends a number.
pub(crate) fn write(out: &mut BytesMut, value: i64) {
    if value < 0 {
        out.extend_from_slice(b"-");
    }
    write_unsigned(out, value.unsigned_abs());
}

/// Appends a number that has no sign.
pub(crate) fn write_unsigned(out: &mut BytesMut, value: u64) {
    // "18446744073709551615" has 20 characters.
    let mut text = [0_u8; 20];
    let mut start = text.len();
    let mut rest = value;
    loop {
        start -= 1;
        text[start] = b'0' + u8::try_from(rest % 10).expect("a remainder of 10 is below 10");
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&text[start..]);
}

/// How many characters [`write()`] appends for this number.
pub(crate) fn width(value: i64) -> usize {
    usize::from(value < 0) + width_unsigned(value.unsigned_abs())
}

/// How many characters [`write_unsigned`] appends for this number.
pub(crate) fn width_unsigned(value: u64) -> usize {
    let digits = value.checked_ilog10().unwrap_or(0) + 1;
    usize::try_from(digits).expect("at most 20 digits")
}

#[cfg(test)]
mod tests;
