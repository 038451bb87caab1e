//! The `chrysalis` command: arguments in, exit code out.

use chrysalis::operator::cli;
use chrysalis::report::ExitCode;

fn main() -> std::process::ExitCode {
    // A broken promise ends the process, whichever thread finds it; a supervisor starts it again.
    std::panic::set_hook(Box::new(|panic| {
        cli::tell_bug(&panic.to_string());
        std::process::exit(ExitCode::Bug.number().into());
    }));
    cli::main(std::env::args_os()).into()
}
