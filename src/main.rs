//! The `chrysalis` command: arguments in, exit code out.

fn main() {}
