//! The `chrysalis` command: arguments in, exit code out.

use chrysalis::appliance::limits;
use chrysalis::operator::cli;
use chrysalis::report::{ExitCode, lines};

fn main() -> std::process::ExitCode {
    if let Err(error) = limits::begin() {
        lines::say(&format!("{error}\n"));
        return error.exit_code().into();
    }
    // A broken promise ends the process, whichever thread finds it; a supervisor starts it again.
    std::panic::set_hook(Box::new(|panic| {
        cli::tell_bug(&panic.to_string());
        std::process::exit(ExitCode::Bug.number().into());
    }));
    cli::main(std::env::args_os()).into()
}
