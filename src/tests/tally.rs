//! How often each kind of thing happened in a test with randomness: a test that met nothing proves nothing.
//!
//! It stands by itself: the integration tests, which do not see the library's own, include this file too.

use std::collections::BTreeMap;

/// Counts by what was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally(BTreeMap<&'static str, u64>);

impl Tally {
    pub(crate) fn add(&mut self, what: &'static str, times: usize) {
        *self.0.entry(what).or_default() += times as u64;
    }

    /// Takes in what another has counted.
    pub(crate) fn merge(&mut self, other: &Tally) {
        for (what, times) in &other.0 {
            *self.0.entry(what).or_default() += times;
        }
    }

    /// Fails unless each of these happened at least so often. The floors hold for any seed: they are less than half of
    /// the least that many seeds have shown.
    #[track_caller]
    pub(crate) fn assert_at_least(&self, floors: &[(&str, u64)]) {
        let short: Vec<&(&str, u64)> = floors
            .iter()
            .filter(|(what, least)| self.0.get(what).is_none_or(|times| times < least))
            .collect();
        assert!(short.is_empty(), "fewer than {short:?}: {:?}", self.0);
    }
}

#[test]
fn what_did_not_happen_often_enough_is_named() {
    let mut tally = Tally::default();
    let mut one = Tally::default();
    one.add("cuts", 2);
    one.add("kills", 0);
    tally.merge(&one);
    tally.merge(&one);
    tally.assert_at_least(&[("cuts", 4), ("kills", 0)]);
    for short in [("cuts", 5), ("kills", 1), ("unheard of", 0)] {
        let checked = std::panic::catch_unwind(|| tally.assert_at_least(&[("cuts", 1), short]));
        let told = checked.expect_err("it is not enough");
        let told = told.downcast::<String>().expect("a sentence");
        let said = format!("fewer than [{short:?}]: {{\"cuts\": 4, \"kills\": 0}}");
        assert_eq!(*told, said);
    }
}
