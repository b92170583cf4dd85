//! The program `dropgate`: see [`dropgate::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    dropgate::cli::main()
}
