//! The command line: what it asks for, and the commands.
//!
//! - `command`: the grammar, and the help
//! - `environment`: variables that look like settings and are none
//! - `serve`, `check`, `sandbox`, `health`, `call`, `bulk`, `export`, `store`, `key`,
//!   `completions`, `man`: a command each, but for `bulk`, which has `import users` and `send`
//! - `existing`: `import users --existing`
//! - `client`: the way of a command to a running server
//! - `failure`: how a command ends badly

mod bulk;
mod call;
mod check;
mod client;
mod command;
mod completions;
mod environment;
mod existing;
mod export;
mod failure;
mod health;
mod key;
mod man;
mod sandbox;
mod serve;
mod store;

use std::{
    env,
    ffi::OsString,
    io::{self, Write as _},
    path::PathBuf,
};

use clap::{ArgMatches, parser::ValueSource};
use clap_complete::Shell;

pub use bulk::Bulk;
pub use call::Call;
pub use check::Check;
pub use existing::Existing;
pub use export::Export;
pub use failure::Failure;

use crate::{
    config::{
        self, ClientConfig, Config, ExistingConfig, Given, HealthConfig, MigrateConfig, Mistakes,
        Origin, SandboxConfig, settings::About, settings::Places,
    },
    telemetry::Format,
};

/// What the command line asks for.
#[derive(Debug)]
pub enum Task {
    /// Serve the facade in front of Mesibo.
    Serve(Config),
    /// Check what `serve` would do.
    Check(Check),
    /// Serve the facade in front of an embedded emulator.
    Sandbox(SandboxConfig),
    /// Ask a running server whether it serves.
    Health(HealthConfig),
    /// Make one call to a running server.
    Call(Call),
    /// Send the rows of a file to a running server.
    Bulk(Bulk),
    /// Write the users of a running server's directory to a file.
    Export(Export),
    /// Add users whom Mesibo had before to the directory.
    Existing(Existing),
    /// Bring the schema of the store up to date.
    Migrate(MigrateConfig),
    /// Delete a user of an app, by its address, from the directory.
    Forget {
        /// The store.
        config: MigrateConfig,
        /// The app's name.
        app: String,
        /// The address.
        address: String,
    },
    /// Make a key for the caller of this name.
    Key(String),
    /// Print the completions of a shell.
    Completions(Shell),
    /// Write the manual pages to a folder.
    Man(PathBuf),
    /// Print help or the version.
    Show(String),
}

/// Reads a command line, the environment, and the settings file that they name.
///
/// # Errors
///
/// If anything is wrong, with all mistakes in the settings.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Task, Failure> {
    let matches = match command::grammar().try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) if !error.use_stderr() => return Ok(Task::Show(error.render().to_string())),
        Err(error) => return Err(Failure::usage(&error)),
    };
    let (command, matches) = innermost(&matches);
    let command = command.as_slice();
    let wrong = |mistakes: Mistakes| Failure::settings(&mistakes, log_format(command, matches));
    let lookup = lookup(matches);
    match *command {
        [command::SERVE] => settled(Config::read(lookup))
            .map(Task::Serve)
            .map_err(wrong),
        [command::CHECK] => Ok(Task::Check(Check {
            settings: settled(Config::read(lookup)),
            online: matches.get_flag(command::ONLINE),
            is_json: argument::<String>(matches, command::FORMAT) == command::AS_JSON,
        })),
        [command::SANDBOX] => settled(SandboxConfig::read(lookup))
            .map(Task::Sandbox)
            .map_err(wrong),
        [command::HEALTH] => settled(HealthConfig::read(lookup))
            .map(Task::Health)
            .map_err(wrong),
        [command::CALL] => call_of(matches).map_err(wrong),
        [command::IMPORT, command::USERS] if matches.get_flag(command::EXISTING) => {
            settled(ExistingConfig::read(lookup))
                .map(|config| Task::Existing(Existing::new(matches, config)))
                .map_err(wrong)
        }
        [command::IMPORT, command::USERS] => bulk_of(bulk::FileKind::Users, matches).map_err(wrong),
        [command::SEND] => bulk_of(bulk::FileKind::Messages, matches).map_err(wrong),
        [command::EXPORT, command::USERS] => settled(ClientConfig::read(lookup))
            .map(|client| Task::Export(Export::new(matches, client)))
            .map_err(wrong),
        [command::STORE, command::MIGRATE] => settled(MigrateConfig::read(lookup))
            .map(Task::Migrate)
            .map_err(wrong),
        [command::STORE, command::FORGET] => settled(MigrateConfig::read(lookup))
            .map(|config| Task::Forget {
                config,
                app: argument(matches, command::FORGET_APP),
                address: argument(matches, command::FORGET_ADDRESS),
            })
            .map_err(wrong),
        [command::KEY] => Ok(Task::Key(argument(matches, command::CALLER))),
        [command::COMPLETIONS] => Ok(Task::Completions(argument(matches, command::SHELL))),
        [command::MAN] => Ok(Task::Man(argument(matches, command::FOLDER))),
        _ => unreachable!("the grammar has no other command"),
    }
}

/// What `call` asks for.
fn call_of(matches: &ArgMatches) -> Result<Task, Mistakes> {
    if matches.get_flag(command::LIST) {
        return Ok(Task::Show(call::list()));
    }
    let name: String = argument(matches, command::RPC);
    let rpc = call::find(&name).expect("clap takes the names of RPCs only");
    if matches.get_flag(command::DESCRIBE) {
        return Ok(Task::Show(call::describe(&rpc)));
    }
    let client = settled(ClientConfig::read(lookup(matches)))?;
    let json = argument(matches, command::JSON);
    Ok(Task::Call(Call { client, rpc, json }))
}

/// What `import users` or `send` asks for.
fn bulk_of(kind: bulk::FileKind, matches: &ArgMatches) -> Result<Task, Mistakes> {
    let client = settled(ClientConfig::read(lookup(matches)))?;
    Ok(Task::Bulk(Bulk::new(kind, matches, client)))
}

/// The names of the command that was asked for, those that it belongs to first, and its
/// arguments.
fn innermost(matches: &ArgMatches) -> (Vec<&str>, &ArgMatches) {
    let (mut names, mut matches) = (Vec::new(), matches);
    while let Some((name, inner)) = matches.subcommand() {
        names.push(name);
        matches = inner;
    }
    (names, matches)
}

/// Settings without a mistake, among which no variable is unknown.
fn settled<T>(read: Result<T, Mistakes>) -> Result<T, Mistakes> {
    let mut mistakes = environment::unknown();
    match read {
        Ok(config) => mistakes.or(config),
        Err(others) => {
            mistakes.extend(others);
            Err(mistakes)
        }
    }
}

impl Task {
    /// Does what the command line asks for.
    ///
    /// # Errors
    ///
    /// If it fails, with an exit status and what to say.
    pub async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Serve(config) => Box::pin(serve::run(config)).await,
            Self::Check(check) => Box::pin(check::run(check)).await,
            Self::Sandbox(config) => Box::pin(sandbox::run(config)).await,
            Self::Health(config) => health::run(config).await,
            Self::Call(call) => Box::pin(call::run(call)).await,
            Self::Bulk(bulk) => Box::pin(bulk::run(bulk)).await,
            Self::Export(export) => Box::pin(export::run(export)).await,
            Self::Existing(existing) => Box::pin(existing::run(existing)).await,
            Self::Migrate(config) => store::migrate(config).await,
            Self::Forget {
                config,
                app,
                address,
            } => store::forget(config, &app, &address).await,
            Self::Key(name) => key::run(&name),
            Self::Completions(shell) => {
                completions::run(shell);
                Ok(())
            }
            Self::Man(folder) => man::run(&folder),
            Self::Show(text) => {
                print(&text);
                Ok(())
            }
        }
    }
}

/// The format of the log in settings of which some are wrong.
fn log_format(command: &[&str], matches: &ArgMatches) -> Format {
    match *command {
        [command::SERVE | command::SANDBOX] => config::log_format(lookup(matches)),
        _ => Format::Text,
    }
}

/// A required argument.
fn argument<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, name: &str) -> T {
    let value = matches.get_one::<T>(name);
    value.expect("clap requires it").clone()
}

/// The values of settings in flags and the environment.
fn lookup(matches: &ArgMatches) -> impl Fn(&'static About) -> Option<Given> {
    |about| {
        if about.places == Places::Environment {
            // A value that is no text is a wrong one, not a missing one.
            let value = env::var_os(about.env())?;
            let value = value.into_string().unwrap_or_default();
            return Some(Given::new(value, Origin::Variable));
        }
        let value = matches.get_one::<String>(about.name)?;
        let origin = match matches.value_source(about.name) {
            Some(ValueSource::EnvVariable) => Origin::Variable,
            _ => Origin::Flag,
        };
        Some(Given::new(value.clone(), origin))
    }
}

/// Prints a text to standard output. A reader that is gone is no failure.
fn print(text: &str) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes());
    let _ = stdout.flush();
}

/// Prints a text to standard error.
fn tell(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests;
