//! Three servers that show each other certificates of the cluster's own authority, as processes.

mod files;
mod forged;
mod strangers;

use crate::harness::certificates::{FOLDER, folder, prepare};
use crate::harness::cluster::Cluster;
use crate::harness::command::{chrysalis, chrysalis_with, status};
use crate::harness::deployment::START_LIMIT;
use crate::harness::load::Load;
use crate::harness::process::eventually;
use crate::harness::server::{set_key, set_text};
use crate::harness::web::scrape;
use chrysalis::authority::{self, Authority};
use forged::Forged;
use std::fs;
use std::time::Duration;

/// Longer than any election takes on a machine that is busy with other tests.
const GAP_MAX: Duration = Duration::from_secs(10);

/// What each server writes to its log when a connection to another one is lost.
const PARTED: &str = "another server is not connected any more";

/// Three servers that serve.
fn start() -> Cluster {
    let mut cluster = prepare(3, &[], |_| {});
    cluster.begin_all();
    cluster
}

/// How many lines of a server's log have this.
fn told(cluster: &Cluster, i: usize, what: &str) -> usize {
    cluster.log(i).matches(what).count()
}

/// Waits until a server's log has this.
fn wait_until_told(cluster: &Cluster, i: usize, what: &str) {
    eventually(what, START_LIMIT, || told(cluster, i, what) > 0);
}

#[test]
fn three_servers_with_certificates_elect_write_and_go_on_without_their_leader() {
    let mut cluster = start();
    let load = Load::start(&cluster, "load");
    load.goes_on(GAP_MAX);
    let leader = cluster.leader();
    cluster.kill(leader);
    load.goes_on(GAP_MAX);
    cluster.resume(leader);
    load.goes_on(GAP_MAX);
    load.end().check(&cluster);
    assert_eq!(cluster.said("is refused"), 0, "they know each other");
    assert_eq!(cluster.said("no agreement"), 0, "they know each other");
    let certificate = status(cluster.server(0))["certificate"].clone();
    assert_eq!(certificate["renewed_here"], true, "{certificate}");
    let left = certificate["left_s"].as_i64().expect("a number");
    let year = 365 * 24 * 60 * 60;
    assert!((year - 3600..=year).contains(&left), "{left}");
}

#[test]
fn a_new_certificate_is_shown_from_the_next_connection_on_and_none_is_ended() {
    let mut cluster = start();
    let load = Load::start(&cluster, "load");
    load.goes_on(GAP_MAX);
    for i in cluster.places() {
        let server = cluster.server(i);
        let before = fs::read(folder(server).join(authority::SERVER_CERTIFICATE));
        let said = chrysalis(server, &["cluster", "rotate-certificates"]);
        assert!(
            said.contains("new connections show the certificate"),
            "{said}"
        );
        let after = fs::read(folder(server).join(authority::SERVER_CERTIFICATE));
        assert_ne!(before.expect("a file"), after.expect("a file"));
    }
    load.goes_on(GAP_MAX);
    assert_eq!(cluster.said(PARTED), 0, "open connections stay");
    let follower = cluster.followers()[0];
    cluster.kill(follower);
    cluster.resume(follower);
    load.goes_on(GAP_MAX);
    load.end().check(&cluster);
    assert_eq!(cluster.said("is refused"), 0);
}

#[test]
fn a_server_renews_its_certificate_while_writes_flow_and_says_so_where_it_cannot() {
    let mut cluster = prepare(3, &[], |_| {});
    for i in [0, 1] {
        // The last third of its life begins four seconds from now.
        let server = cluster.server(i);
        Forged::lasting(-100, 56).put(server, i);
    }
    let without = folder(cluster.server(1)).join(authority::AUTHORITY_KEY);
    fs::remove_file(&without).expect("it was there");
    cluster.begin_all();
    let load = Load::start(&cluster, "load");
    load.goes_on(GAP_MAX);

    wait_until_told(&cluster, 0, "this server has a new certificate");
    let left = |i| status(cluster.server(i))["certificate"]["left_s"].as_i64();
    assert!(left(0) > Some(300 * 24 * 60 * 60), "{:?}", left(0));

    wait_until_told(&cluster, 1, "this server has no new certificate");
    assert!(left(1) < Some(60), "{:?}", left(1));
    let said = chrysalis(cluster.server(1), &["status"]);
    assert!(said.contains("there is no new one"), "{said}");
    let metrics = scrape(cluster.server(1).web());
    let name = "chrysalis_ensemble_certificate_left_seconds ";
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    let seconds: f64 = line.expect(name).parse().expect("a number");
    assert!(seconds < 60.0, "{seconds}");

    // It has been brought one from elsewhere.
    let from = folder(cluster.server(0)).display().to_string();
    let words = ["cluster", "certificates", "--without-key", "--from", &from];
    let said = chrysalis(cluster.server(1), &words);
    assert!(
        said.contains("new connections show the certificate"),
        "{said}"
    );
    assert!(!without.exists(), "the key stays where it is");
    assert!(left(1) > Some(300 * 24 * 60 * 60), "{:?}", left(1));

    load.goes_on(GAP_MAX);
    load.end().check(&cluster);
    assert_eq!(cluster.said(PARTED), 0, "open connections stay");
}

#[test]
fn a_server_of_another_authority_is_told_apart_on_both_sides_and_the_others_go_on() {
    let mut cluster = start();
    let load = Load::start_at(&cluster, "load", &[0, 2]);
    cluster.stop(1);
    let place = folder(cluster.server(1));
    let ours = place.with_extension("ours");
    fs::rename(&place, &ours).expect("it is there");
    let other = Authority::make(&place).expect("another authority");
    other
        .issue(chrysalis::units::ServerId(2), &place)
        .expect("a certificate");
    cluster.begin(1);
    // It is called by the first, and calls the third.
    let foreign = "its certificate was issued by another authority than this cluster's";
    for (server, count) in [(0, 1), (1, 1), (2, 0)] {
        let what = format!("server {server} is told");
        eventually(&what, START_LIMIT, || {
            told(&cluster, server, foreign) >= count
        });
    }
    let refuses = "it refuses the certificate of this server (another authority issued it)";
    eventually("the called one hears it", START_LIMIT, || {
        cluster.said(refuses) >= 2
    });
    load.goes_on(GAP_MAX);
    assert!(!cluster.serves(1), "it is in no ensemble");

    cluster.stop(1);
    fs::remove_dir_all(&place).expect("it is there");
    fs::rename(&ours, &place).expect("it is there");
    cluster.resume(1);
    load.goes_on(GAP_MAX);
    load.end().check(&cluster);
}

#[test]
fn a_server_without_certificates_among_those_with_them_is_told_which_key_to_set() {
    let mut cluster = start();
    let load = Load::start_at(&cluster, "load", &[0, 2]);
    cluster.stop(1);
    let config = cluster.server(1).folder().join("conf/server.toml");
    let secured = fs::read_to_string(&config).expect("a file");
    let mut plain = secured.clone();
    set_text(&mut plain, "cluster", "certificates", "");
    fs::write(&config, plain).expect("a file");
    cluster.begin(1);
    let without = "it speaks without TLS, and this server does not: set cluster.certificates";
    let with = "it speaks TLS, and this server does not: set cluster.certificates";
    // It is called by the first, and calls the third.
    wait_until_told(&cluster, 0, without);
    wait_until_told(&cluster, 2, without);
    wait_until_told(&cluster, 1, with);
    load.goes_on(GAP_MAX);
    load.goes_on(GAP_MAX);
    for (i, line) in [(0, without), (2, without), (1, with)] {
        assert_eq!(told(&cluster, i, line), 1, "it is told once");
    }
    assert!(!cluster.serves(1), "it is in no ensemble");

    cluster.stop(1);
    fs::write(&config, secured).expect("a file");
    cluster.resume(1);
    load.goes_on(GAP_MAX);
    load.end().check(&cluster);
}

#[test]
fn a_running_ensemble_is_given_certificates_one_server_after_the_other() {
    let mut cluster = Cluster::start(3);
    let load = Load::start(&cluster, "load");
    load.goes_on(GAP_MAX);
    // Two of its links are with servers of the other kind, and each calls one of them and is called by another.
    for i in [1, 0, 2] {
        change(&mut cluster, i, |config| {
            set_text(config, "cluster", "certificates", FOLDER);
            set_key(config, "cluster", "certificates_required", "false");
        });
        load.goes_on(GAP_MAX);
    }
    let warnings = status(cluster.server(0))["warnings"].to_string();
    assert!(
        warnings.contains("cluster.certificates_required is false"),
        "{warnings}"
    );
    for i in cluster.places() {
        change(&mut cluster, i, |config| {
            set_key(config, "cluster", "certificates_required", "true");
        });
        load.goes_on(GAP_MAX);
    }
    strangers::plain(cluster.peer_address(0));
    wait_until_told(
        &cluster,
        0,
        "it speaks without TLS, and this server does not",
    );
    load.end().check(&cluster);
}

/// Restarts a server with another configuration, and certificates if it has none.
fn change(cluster: &mut Cluster, i: usize, edit: impl Fn(&mut String)) {
    cluster.stop(i);
    let file = cluster.server(i).folder().join("conf/server.toml");
    let mut config = fs::read_to_string(&file).expect("a file");
    edit(&mut config);
    fs::write(&file, config).expect("a file");
    let place = folder(cluster.server(i));
    if !place.exists() {
        // The second is the first to have them.
        let from = folder(cluster.server(1)).display().to_string();
        let made = ["cluster", "certificates", "--make-authority"];
        let taken = ["cluster", "certificates", "--from", &from];
        let words = if i == 1 { &made[..] } else { &taken[..] };
        chrysalis(cluster.server(i), words);
    }
    cluster.resume(i);
}

#[test]
fn certificates_are_shown_and_an_authority_is_made_once() {
    let cluster = prepare(2, &[], |_| {});
    let server = cluster.server(1);
    let said = chrysalis(server, &["cluster", "certificates"]);
    assert!(said.contains("server 2: valid until"), "{said}");
    assert!(said.contains("authority.key is here"), "{said}");
    let json = chrysalis(server, &["cluster", "certificates", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
    let fingerprint = Authority::open(&folder(server))
        .expect("it is there")
        .fingerprint();
    assert_eq!(json["authorities"][0]["sha256"], fingerprint.as_str());
    assert_eq!(json["authorities"].as_array().map(Vec::len), Some(1));
    let again = ["cluster", "certificates", "--make-authority"];
    let refused = chrysalis_with(server, &again, b"");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        said.contains("E0113") && said.contains("there is an authority already"),
        "{said}"
    );
    let said = chrysalis(server, &["cluster", "rotate-certificates"]);
    assert!(
        said.contains("it is shown from the next start on"),
        "{said}"
    );
}
