use super::*;

#[test]
fn every_number_means_the_refusal_it_stands_for() {
    let mut refusals = 0;
    for candidate in -1000..=0 {
        if let Some(refusal) = refusal(candidate) {
            assert_eq!(number(refusal), candidate);
            assert_ne!(name(candidate), name(-1000));
            refusals += 1;
        }
    }
    assert_eq!(refusals, 15, "a refusal without a number, or the reverse");
}

#[test]
fn no_number_is_sent_that_a_client_of_3_4_5_does_not_know() {
    for candidate in -1000..-119 {
        assert_eq!(refusal(candidate), None);
    }
}
