use super::*;

#[test]
fn who_listens_everywhere_is_reached_where_every_host_has_an_address() {
    for everywhere in ["0.0.0.0:1", "[::]:1"] {
        let address = everywhere.parse().expect("an address");
        assert_eq!(reachable(address).to_string(), "127.0.0.1:1");
    }
    let own = "[::1]:1".parse().expect("an address");
    assert_eq!(reachable(own), own);
}
