//! The program `dropgate`: see [`dropgate::cli`].

use std::process::ExitCode;

// A request allocates some hundred times, a hold for minutes: this one costs half of the system's for both.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    dropgate::cli::main()
}
