//! The command line: parses it, runs one command, and turns what came of it into an exit code.
//!
//! 0 done · 1 failed · 2 usage or configuration. An error is one line on stderr.

mod apply;
mod audit;
mod check;
mod keys;
mod logs;
mod remote;
mod serve;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::{
    config::{ConfigError, Log},
    demo,
};

/// A virtual waiting room: a fair line, let into the shop at the rate the shop can take.
#[derive(Parser)]
#[command(name = "dropgate", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Shows a crowd standing in line before a demo shop; needs nothing else on the machine.
    Demo(demo::Arguments),
    /// Runs an instance until it is told to stop.
    Serve(serve::Arguments),
    /// Creates and updates the rooms and sales of a configuration file on a running installation.
    Apply(apply::Arguments),
    /// Folds the events of a sale and compares them with its stock; exits with 1 on a difference.
    Audit(audit::Arguments),
    /// Makes API keys.
    #[command(subcommand)]
    Key(keys::KeyCommand),
    /// Shows the public keys of an installation.
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Says what is wrong with a configuration file, and where.
    CheckConfig {
        /// The configuration file.
        file: PathBuf,
    },
}

/// Why a command did not do what it was asked to, as its exit code tells.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It could not be done, or what it checked does not hold: exit code 1.
    #[error("{0}")]
    Failed(String),
    /// It was asked in a way that can't be done: exit code 2.
    #[error("{0}")]
    Usage(String),
}

impl Failure {
    /// What could not be done, with its causes, in one line.
    pub fn failed(what: &str, error: &dyn std::error::Error) -> Self {
        let mut line = format!("{what}: {error}");
        let mut cause = error.source();
        while let Some(error) = cause {
            // Many errors say their cause themselves; twice says no more.
            let text = error.to_string();
            if !line.contains(&text) {
                line = format!("{line}: {text}");
            }
            cause = error.source();
        }
        Self::Failed(line)
    }

    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Failed(_) => ExitCode::from(1),
            Self::Usage(_) => ExitCode::from(2),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}

/// Runs the command of the process's arguments. Clap itself exits with 2 on a usage it does not know.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return report(&Failure::failed("starting", &error)),
    };
    match runtime.block_on(run(cli.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => report(&failure),
    }
}

async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Demo(arguments) => show(&arguments).await,
        Command::Serve(arguments) => serve::run(arguments).await,
        Command::Apply(arguments) => apply::run(&arguments).await,
        Command::Audit(arguments) => audit::run(arguments).await,
        Command::Key(keys::KeyCommand::New(arguments)) => keys::new(&arguments),
        Command::Keys(keys::KeysCommand::Export(arguments)) => keys::export(&arguments).await,
        Command::CheckConfig { file } => check::run(&file),
    }
}

async fn show(arguments: &demo::Arguments) -> Result<(), Failure> {
    logs::start(&Log { filter: "warn".to_owned(), ..Log::default() })?;
    match demo::run(arguments).await {
        Ok(demo::Outcome::Held) => Ok(()),
        Ok(demo::Outcome::Broken) => Err(Failure::Failed("a promise was broken: see above".to_owned())),
        Err(error) => Err(Failure::failed("the demo can't start", &error)),
    }
}

fn report(failure: &Failure) -> ExitCode {
    eprintln!("dropgate: {failure}");
    failure.exit_code()
}
