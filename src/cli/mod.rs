//! The command line.

use std::{env, ffi::OsString, path::PathBuf};

use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::Shell;

use crate::config::{
    Config, HealthConfig, Mistakes, SandboxConfig, caller_name,
    settings::{self, Setting},
};

/// The argument of `key`.
const CALLER: &str = "name";

/// The argument of `completions`.
const SHELL: &str = "shell";

/// The argument of `man`.
const FOLDER: &str = "folder";

/// What the command line asks for.
#[derive(Debug)]
pub enum Task {
    /// The facade in front of Mesibo.
    Serve(Config),
    /// The facade in front of an embedded emulator.
    Sandbox(SandboxConfig),
    /// Whether a running server serves.
    Health(HealthConfig),
    /// A new key for the caller of this name.
    Key(String),
    /// Help or the version, to be shown.
    Show(String),
}

/// Reads a command line, the environment, and the settings file that they name.
///
/// # Errors
///
/// If anything is wrong, in one line that says what.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Task, String> {
    let matches = match command().try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) if !error.use_stderr() => return Ok(Task::Show(error.render().to_string())),
        Err(error) => return Err(first_line(&error)),
    };
    let task = match matches.subcommand() {
        Some(("serve", matches)) => Config::read(lookup(matches)).map(Task::Serve),
        Some(("sandbox", matches)) => SandboxConfig::read(lookup(matches)).map(Task::Sandbox),
        Some(("health", matches)) => HealthConfig::read(lookup(matches)).map(Task::Health),
        Some(("key", matches)) => return key(matches),
        Some(("completions", matches)) => return Ok(Task::Show(completions(matches))),
        Some(("man", matches)) => return man(matches),
        _ => return Err("expected a command, such as serve or sandbox; see --help".into()),
    };
    task.map_err(|mistakes: Mistakes| mistakes.to_string())
}

fn command() -> Command {
    Command::new(env!("CARGO_PKG_NAME"))
        .version(env!("CARGO_PKG_VERSION"))
        .about(env!("CARGO_PKG_DESCRIPTION"))
        .subcommand(
            Command::new("serve")
                .about("Serve the facade in front of Mesibo")
                .after_help(format!(
                    "The token of the Mesibo application comes from the environment variable {} \
                     or from --{}.",
                    settings::APP_TOKEN.env,
                    settings::APP_TOKEN_FILE.name
                ))
                .args(flags(&settings::SERVE))
                .args(flags(&settings::FACADE)),
        )
        .subcommand(
            Command::new("sandbox")
                .about("Serve the facade in front of an embedded emulator, with no account")
                .args(flags(&settings::SANDBOX))
                .args(flags(&settings::FACADE)),
        )
        .subcommand(
            Command::new("health")
                .about("Ask a running server whether it serves: exit status 0 if so, else 1")
                .args(flags(&settings::HEALTH)),
        )
        .subcommand(
            Command::new("key")
                .about("Make a key for a caller: prints it, and the settings entry with its hash")
                .arg(
                    Arg::new(CALLER)
                        .value_name("NAME")
                        .help("Name of the caller")
                        .required(true),
                ),
        )
        .subcommand(
            Command::new("completions")
                .about("Print the completions of a shell, for it to read")
                .arg(
                    Arg::new(SHELL)
                        .value_name("SHELL")
                        .help("The shell")
                        .value_parser(value_parser!(Shell))
                        .required(true),
                ),
        )
        .subcommand(
            Command::new("man")
                .about("Write the manual pages, one for each command")
                .arg(
                    Arg::new(FOLDER)
                        .value_name("FOLDER")
                        .help("Folder to write them to")
                        .value_parser(value_parser!(PathBuf))
                        .required(true),
                ),
        )
}

fn completions(matches: &ArgMatches) -> String {
    let shell = *matches.get_one::<Shell>(SHELL).expect("it is required");
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command(), env!("CARGO_PKG_NAME"), &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

fn man(matches: &ArgMatches) -> Result<Task, String> {
    let folder = matches.get_one::<PathBuf>(FOLDER).expect("it is required");
    clap_mangen::generate_to(command().disable_help_subcommand(true), folder)
        .map_err(|error| format!("cannot write to {}: {error}", folder.display()))?;
    Ok(Task::Show(String::new()))
}

/// The name of the caller that a key is for.
fn key(matches: &ArgMatches) -> Result<Task, String> {
    let name = matches.get_one::<String>(CALLER).expect("it is required");
    caller_name(name).map(Task::Key)
}

/// The flags of settings, which the token is not.
fn flags(settings: &[&'static Setting]) -> Vec<Arg> {
    let flags = settings
        .iter()
        .filter(|&&setting| *setting != settings::APP_TOKEN);
    flags.map(|setting| flag(setting)).collect()
}

/// The flag of a setting. Defaults are told, not set: the settings file comes first.
fn flag(setting: &'static Setting) -> Arg {
    let help = match setting.default {
        None | Some("") => setting.help.to_owned(),
        Some(default) => format!("{} [default: {default}]", setting.help),
    };
    let flag = Arg::new(setting.name)
        .long(setting.name)
        .env(setting.env)
        .hide_env_values(true)
        .value_name(setting.value)
        .help(help);
    if setting.value == settings::SWITCH {
        let alone = flag.num_args(0..=1).require_equals(true);
        return alone.default_missing_value("true");
    }
    flag
}

/// What flags and the environment say of a setting.
fn lookup(matches: &ArgMatches) -> impl Fn(&Setting) -> Option<String> {
    |setting| {
        if *setting == settings::APP_TOKEN {
            return env::var(setting.env).ok();
        }
        matches.get_one::<String>(setting.name).cloned()
    }
}

/// What clap says of a mistake, without its hints and the usage.
fn first_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let line = text.lines().next().unwrap_or_default();
    format!("{}; see --help", line.trim_start_matches("error: "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn the_token_is_no_flag() {
        let error = parse(["mesibo-grpc", "serve", "--app-token", "s3cret"].map(Into::into));
        assert!(!error.unwrap_err().contains("s3cret"));
    }

    #[test]
    fn the_readme_lists_every_setting_with_its_default() {
        let readme = include_str!("../../README.md");
        let all = settings::SERVE
            .iter()
            .chain(&settings::SANDBOX)
            .chain(&settings::FACADE)
            .chain(&settings::HEALTH);
        for setting in all {
            let row = readme
                .lines()
                .find(|line| line.starts_with('|') && line.contains(&format!("`{}`", setting.env)))
                .unwrap_or_else(|| panic!("README.md has no row for {}", setting.env));
            let default = setting.default.unwrap_or_default();
            assert!(row.contains(default), "{row} lacks {default}");
            assert!(
                row.contains(&format!("`{}`", setting.name)),
                "{row} lacks {}",
                setting.name
            );
        }
    }
}
