//! The configuration as somebody may write it: it is taken, or every mistake is told with its place.
#![no_main]

use std::path::Path;

use chrysalis::config::{self, Machine};

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Err(mistakes) = config::from_toml(Path::new("server1"), text, &Machine::default()) {
        assert!(!mistakes.list().is_empty(), "refused without a reason");
        let _ = mistakes.to_string();
    }
});
