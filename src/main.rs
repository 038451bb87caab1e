//! The `chrysalis` command: arguments in, exit code out.

fn main() -> std::process::ExitCode {
    chrysalis::operator::cli::main(std::env::args_os()).into()
}
