//! What a transaction is called on the wire.
//!
//! ```text
//! null                                                        no transaction
//! TX:<session>:<number>                                       local
//! XID:<format>:<hex gtrid>:<hex bqual>:<unique qualifier>     XA
//! ```
//!
//! The original parses a key and writes it anew, so that `XID:+1:FF:01:q` and `XID:1:ff:01:q` are one
//! transaction. It also drops half a byte of odd hex text, which can make two transactions one; here
//! such a key is malformed.

use std::borrow::Cow;

use super::decimal;

/// The form in which keys are compared and answered; `None` if it is no key.
pub(crate) fn canonical(key: &str) -> Option<Cow<'_, str>> {
    if key == "null" {
        return Some(Cow::Borrowed(key));
    }
    let canonical = if let Some(rest) = key.strip_prefix("XID:") {
        let mut parts = rest.split(':');
        let (format, gtrid, bqual) = (parts.next()?, parts.next()?, parts.next()?);
        let unique_qualifier = parts.next().filter(|_| parts.next().is_none())?;
        let format = decimal::parse_i32(format.as_bytes())?;
        format!(
            "XID:{format}:{}:{}:{unique_qualifier}",
            hex(gtrid)?,
            hex(bqual)?
        )
    } else {
        // Colons at the end are dropped, as by Java's split.
        let rest = key.strip_prefix("TX:")?.trim_end_matches(':');
        let (session, number) = rest.split_once(':')?;
        let number = decimal::parse_i32(number.as_bytes())?;
        format!("TX:{session}:{number}")
    };
    Some(if canonical == key {
        Cow::Borrowed(key)
    } else {
        Cow::Owned(canonical)
    })
}

/// Whole bytes of hex text, in lower case.
fn hex(text: &str) -> Option<String> {
    let whole = text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    whole.then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &str, expected: Option<&str>) {
        assert_eq!(canonical(key).as_deref(), expected, "{key:?}");
    }

    #[test]
    fn two_spellings_of_a_key_are_the_same_key() {
        check("XID:100:ff0a:b001:q-host", Some("XID:100:ff0a:b001:q-host"));
        check(
            "XID:+100:FF0A:B001:q-host",
            Some("XID:100:ff0a:b001:q-host"),
        );
        check("TX:a:+1", Some("TX:a:1"));
        check("TX:a:1::", Some("TX:a:1"));
    }

    #[test]
    fn parts_may_be_empty_but_not_missing() {
        check("XID:100:::", Some("XID:100:::"));
        check("XID:100:ff:ff", None);
        check("XID:100:ff:ff:q:", None);
        check("TX::1", Some("TX::1"));
        check("TX:a:", None);
        check("TX:a", None);
    }

    #[test]
    fn numbers_are_signed_and_of_32_bits() {
        check("TX:h-1-1:-1", Some("TX:h-1-1:-1"));
        check("TX:h-1-1:2147483648", None);
        check("XID:-1:ff:ff:q", Some("XID:-1:ff:ff:q"));
        check("XID:2147483648:ff:ff:q", None);
        check("XID::ff:ff:q", None);
    }

    #[test]
    fn an_ipv6_host_breaks_a_local_key() {
        check("TX:fe80::1-1-1:1", None);
    }

    #[test]
    fn hex_is_whole_bytes() {
        check("XID:1:f0a:b001:q", None);
        check("XID:1:zz:ff:q", None);
    }

    #[test]
    fn no_transaction_is_a_key_too() {
        check("null", Some("null"));
        check("nullx", None);
        check("xid:1:ff:ff:q", None);
        check("", None);
    }
}
