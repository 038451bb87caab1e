use super::*;

#[test]
fn trouble_is_told_once_and_again_only_a_minute_later() {
    let mut trouble = Trouble::default();
    let start = Instant::now();
    assert!(trouble.begins(start));
    assert!((1..3600).all(|second| !trouble.begins(start + Duration::from_secs(second))));
    trouble.ends();
    assert!(trouble.begins(start + Duration::from_secs(3600)));
    // It comes and goes.
    trouble.ends();
    assert!(!trouble.begins(start + Duration::from_secs(3601)));
}

#[test]
fn who_listens_everywhere_is_reached_where_every_host_has_an_address() {
    for everywhere in ["0.0.0.0:1", "[::]:1"] {
        let address = everywhere.parse().expect("an address");
        assert_eq!(reachable(address).to_string(), "127.0.0.1:1");
    }
    let own = "[::1]:1".parse().expect("an address");
    assert_eq!(reachable(own), own);
}
