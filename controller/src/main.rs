use std::process::ExitCode;

fn main() -> ExitCode {
    longshore::main_impl()
}
