use super::*;

fn check(line: &str, expected: &[&str]) {
    let tokens = Tokens::of(line.as_bytes());
    assert_eq!(tokens.count(), expected.len(), "{line:?}");
    for (place, token) in expected.iter().take(TOKENS_MAX).enumerate() {
        assert_eq!(
            tokens.place(place).map(|at| &line[at]),
            Some(*token),
            "{line:?}"
        );
    }
    assert_eq!(tokens.place(expected.len()), None);
}

#[test]
fn spaces_at_the_end_are_dropped() {
    check("put t 0 0 0 -1 5 ", &["put", "t", "0", "0", "0", "-1", "5"]);
    check("quit   ", &["quit"]);
}

#[test]
fn two_spaces_enclose_an_empty_token() {
    check("stats  7", &["stats", "", "7"]);
}

#[test]
fn a_leading_space_makes_the_first_token_empty() {
    check(" get", &["", "get"]);
    check("", &[""]);
    check("   ", &[""]);
}

#[test]
fn surplus_tokens_are_counted_but_not_kept() {
    check(
        "1 2 3 4 5 6 7 8 9 10",
        &["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"],
    );
}
