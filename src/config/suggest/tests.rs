//! Which word was meant.

use super::suggest;

#[test]
fn the_nearest_word_is_named_if_it_is_near() {
    let known = ["port", "num_partitions", "hold_max_ms", "delete_when"];
    let check =
        |unknown: &str, word: Option<&str>| assert_eq!(suggest(unknown, known), word, "{unknown}");
    check("prot", Some("port"));
    check("Port", Some("port"));
    check("numPartitions", Some("num_partitions"));
    check("num_partition", Some("num_partitions"));
    check("num-partitons", Some("num_partitions"));
    check("deleteWehn", Some("delete_when"));
    check("xyz", None);
    check("", None);
    check(&"port".repeat(100_000), None);
    check("\u{1f980}", None);
}
