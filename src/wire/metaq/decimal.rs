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
    // "-9223372036854775808" has 20 characters.
    let mut text = [0_u8; 20];
    let mut start = text.len();
    let mut rest = value.unsigned_abs();
    loop {
        start -= 1;
        text[start] = b'0' + u8::try_from(rest % 10).expect("a remainder of 10 is below 10");
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        start -= 1;
        text[start] = b'-';
    }
    out.extend_from_slice(&text[start..]);
}

/// How many characters [`write`] appends for this number.
pub(crate) fn width(value: i64) -> usize {
    let sign = usize::from(value < 0);
    let digits = value.unsigned_abs().checked_ilog10().unwrap_or(0) + 1;
    sign + usize::try_from(digits).expect("at most 19 digits")
}

#[cfg(test)]
mod tests;
