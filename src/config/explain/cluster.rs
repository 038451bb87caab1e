//! `[cluster]`: the servers that work together.

use std::net::IpAddr;

use super::MIB;
use crate::config::key::{Key, Preset, Range, Section, TextRule};

/// `cluster.servers`
pub static CLUSTER_SERVERS: Key<Vec<String>> = Key {
    section: Section::Cluster,
    name: "servers",
    unit: "",
    default: Preset::Value(&[]),
    permitted: TextRule {
        words: "a list of \"ID=HOST:PORT\", such as [\"1=10.0.0.1:2888\", \"2=10.0.0.2:2888\", \"3=10.0.0.3:2888\"]; behind HOST:PORT may stand :observer",
        // Each is checked by itself, so that the mistake names it.
        accepts: |_| true,
    },
    help: "All servers of the cluster, this one among them; the list is the same on each. ID is the server's `server.id`, HOST:PORT \
           is where the other servers connect to it (clients do not). An IPv6 address stands in brackets. There may be 7 at \
           most. Take an odd number: 3 serve on without one of them, 5 without two. With `:observer` behind it a server has \
           everything and serves clients, but no vote: no write waits for it, and nothing stops without it. There may be 16 \
           more of these. All servers of the list, observers too, have to be there once to found the cluster. From then on an \
           observer is taken in by itself; who votes, `cluster move-vote` and `cluster add` say, and this list does not: correct \
           it after them, before a server starts with an empty folder. Empty: this server is alone. Without \
           `certificates` there is neither encryption nor authentication between servers: let nobody but the other servers reach \
           this port.",
    replaces: "zoo.cfg: server.N, dynamicConfigFile",
};

/// `cluster.listen`
pub static CLUSTER_LISTEN: Key<IpAddr> = Key {
    section: Section::Cluster,
    name: "listen",
    unit: "",
    default: Preset::Derived(
        "this server's address in cluster.servers, or \"0.0.0.0\" if it has a name there",
    ),
    permitted: (),
    help: "The address on which this server listens for the other servers, at its port in `servers`. Alone it listens for none. \
           \"0.0.0.0\" listens on every address: let the firewall admit only the other servers.",
    replaces: "zoo.cfg: quorumListenOnAllIPs",
};

/// `cluster.certificates`
pub static CLUSTER_CERTIFICATES: Key<String> = Key {
    section: Section::Cluster,
    name: "certificates",
    unit: "",
    default: Preset::Value(""),
    permitted: TextRule {
        words: "empty or a path",
        accepts: |text| !text.contains('\0'),
    },
    help: "The folder of this server's certificate and its key, relative to the server's folder: `conf/certificates`. With it \
           the servers speak TLS 1.3 among themselves, and each has to show a certificate of the cluster's own authority. \
           `chrysalis cluster certificates` makes what is in it. All servers of a cluster have one, or none; how a running ensemble \
           gets them, docs/operating.md says. It says nothing about clients. Empty: the servers speak in the clear and believe each other.",
    replaces: "",
};

/// `cluster.certificates_required`
pub static CLUSTER_CERTIFICATES_REQUIRED: Key<bool> = Key {
    section: Section::Cluster,
    name: "certificates_required",
    unit: "",
    default: Preset::Value(true),
    permitted: (),
    help: "false is for the time in which the servers of a running ensemble are given `certificates` one after the other: a server \
           without TLS is let in as well, and called without it. So nobody is kept out, and `chrysalis status` warns as long as it is \
           false. Without `certificates` it means nothing.",
    replaces: "",
};

/// `cluster.window_bytes`
pub static CLUSTER_WINDOW_BYTES: Key<u32> = Key {
    section: Section::Cluster,
    name: "window_bytes",
    unit: "bytes",
    default: Preset::Value(8 * MIB),
    permitted: Range {
        min: 4096,
        max: 64 * MIB,
    },
    help: "So much of what the coordinators have agreed on stays in memory for a server that is a little behind. What is older it gets \
           from the journal, and what the journal has forgotten as a snapshot.",
    replaces: "",
};
