//! Tests of the whole product. One binary, a module a subject.
//!
//! `CHRYSALIS_TESTS` chooses how much: `offline` (nothing is fetched), `fast` (the default), `full`.

mod bad_input;
mod benches;
mod commands;
mod conversation;
mod crash;
mod deployment;
mod differential;
mod install;
mod java_client;
mod kazoo;
mod lab;
mod machine;
mod messaging;
mod metaq_wire;
mod metrics;
mod mistakes;
mod name_service;
mod originals;
mod pipes;
mod power_cut;
mod process;
mod ready;
mod registry;
mod release;
mod retention;
mod samples;
mod server;
mod sessions;
mod settings;
mod simulation;
mod skip_damage;
mod tidy;
mod tokio_zookeeper;
mod waiting;
mod zkcli;
mod zookeeper_client;
mod zookeeper_spec;
mod zookeeper_wire;
