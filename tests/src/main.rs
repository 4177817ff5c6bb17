use std::process::ExitCode;

fn main() -> ExitCode {
    longshore_lab::cli::main()
}
