//! Tests of the whole product. One binary, a module a subject.
//!
//! `CHRYSALIS_TESTS` chooses how much: `offline` (nothing is fetched), `fast` (the default), `full`.

// What the tests use.
mod harness;

mod bad_input;
mod benches;
mod brokers;
mod certificates;
mod commands;
mod crash;
mod curator;
mod damaged_journal;
mod differential;
mod doctor;
mod ensemble;
mod faults;
mod install;
mod java_client;
mod kazoo;
mod machine;
mod messaging;
mod metrics;
mod mistakes;
mod name_service;
mod observers;
mod pipes;
mod power_cut;
mod read_only;
mod ready;
mod registry;
mod release;
mod retention;
mod run;
mod samples;
mod sessions;
mod settings;
mod simulation;
mod skip_damage;
mod suites;
mod tidy;
mod tokio_zookeeper;
mod turns;
mod waiting;
mod zkcli;
mod zookeeper_client;
mod zookeeper_spec;
