//! Clusters whose servers show each other certificates.

use super::cluster::Cluster;
use super::command::chrysalis;
use super::deployment::Topic;
use super::server::{Server, set_text};
use std::path::PathBuf;

/// Where each server has them, within its folder.
pub(crate) const FOLDER: &str = "conf/certificates";

/// The certificates of a server.
pub(crate) fn folder(server: &Server) -> PathBuf {
    server.folder().join(FOLDER)
}

/// So many fresh servers with certificates of one authority, made as an operator makes them; nothing runs.
pub(crate) fn prepare(count: usize, topics: &[Topic], edit: impl Fn(&mut String)) -> Cluster {
    let cluster = Cluster::prepare(count, topics, |text| {
        set_text(text, "cluster", "certificates", FOLDER);
        edit(text);
    });
    let first = cluster.server(0);
    chrysalis(first, &["cluster", "certificates", "--make-authority"]);
    let from = folder(first).display().to_string();
    for i in cluster.places().skip(1) {
        let take = ["cluster", "certificates", "--from", &from];
        chrysalis(cluster.server(i), &take);
    }
    cluster
}
