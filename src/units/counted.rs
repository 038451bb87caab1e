//! How many there are of something, in words.

use std::fmt::Display;

/// `1 topic`, `2 topics`, `3 watches`: so many `things`, which are named in the plural.
pub fn counted(count: impl Display, things: &str) -> String {
    let count = count.to_string();
    match count.as_str() {
        "1" => format!("1 {}", one_of(things)),
        _ => format!("{count} {things}"),
    }
}

/// One of these `things`.
fn one_of(things: &str) -> String {
    let ends_in_es = ["ches", "sses", "xes"];
    if let Some(stem) = things.strip_suffix("ies") {
        format!("{stem}y")
    } else if ends_in_es.iter().any(|ending| things.ends_with(ending)) {
        things[..things.len() - 2].to_owned()
    } else {
        things.strip_suffix('s').unwrap_or(things).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_not_several() {
        for (things, one) in [
            ("topics", "1 topic"),
            ("watches", "1 watch"),
            ("batches", "1 batch"),
            ("journal entries", "1 journal entry"),
            ("addresses", "1 address"),
            ("times", "1 time"),
            ("bytes", "1 byte"),
            ("milliseconds", "1 millisecond"),
        ] {
            assert_eq!(counted(1_u8, things), one);
            assert_eq!(counted(0_u64, things), format!("0 {things}"));
            assert_eq!(counted(21_usize, things), format!("21 {things}"));
        }
    }
}
