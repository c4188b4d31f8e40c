//! The grammar of the command line, and the help.

use std::path::PathBuf;

use clap::{Arg, Command, value_parser};
use clap_complete::Shell;

use crate::config::{
    Config, HealthConfig, SandboxConfig, caller_name,
    settings::{self, About, Places},
};

pub(super) const SERVE: &str = "serve";
pub(super) const SANDBOX: &str = "sandbox";
pub(super) const HEALTH: &str = "health";
pub(super) const KEY: &str = "key";
pub(super) const COMPLETIONS: &str = "completions";
pub(super) const MAN: &str = "man";

/// The argument of `key`.
pub(super) const CALLER: &str = "NAME";

/// The argument of `completions`.
pub(super) const SHELL: &str = "SHELL";

/// The argument of `man`.
pub(super) const FOLDER: &str = "FOLDER";

/// The program, its commands, and their flags.
pub(super) fn grammar() -> Command {
    Command::new(env!("CARGO_PKG_NAME"))
        .version(env!("CARGO_PKG_VERSION"))
        .about(env!("CARGO_PKG_DESCRIPTION"))
        .subcommand_required(true)
        .subcommand(
            Command::new(SERVE)
                .about("Serve the facade in front of Mesibo")
                .after_help(format!(
                    "The token of the Mesibo application comes from the environment variable {} \
                     or from --{}.",
                    settings::APP_TOKEN.about().env(),
                    settings::APP_TOKEN_FILE.name()
                ))
                .args(flags(Config::settings())),
        )
        .subcommand(
            Command::new(SANDBOX)
                .about("Serve the facade in front of an embedded emulator, with no account")
                .args(flags(SandboxConfig::settings())),
        )
        .subcommand(
            Command::new(HEALTH)
                .about("Ask a running server whether it serves: exit status 0 if so, else 1")
                .args(flags(HealthConfig::settings())),
        )
        .subcommand(
            Command::new(KEY)
                .about("Make a key for a caller: prints it, and the settings entry with its hash")
                .arg(
                    Arg::new(CALLER)
                        .help("Name of the caller")
                        .value_parser(caller_name)
                        .required(true),
                ),
        )
        .subcommand(
            Command::new(COMPLETIONS)
                .about("Print the completions of a shell, for it to read")
                .arg(
                    Arg::new(SHELL)
                        .help("The shell")
                        .value_parser(value_parser!(Shell))
                        .required(true),
                ),
        )
        .subcommand(
            Command::new(MAN)
                .about("Write the manual pages, one for each command")
                .arg(
                    Arg::new(FOLDER)
                        .help("Folder to write them to")
                        .value_parser(value_parser!(PathBuf))
                        .required(true),
                ),
        )
}

/// The flags of settings.
fn flags(settings: Vec<&'static About>) -> impl Iterator<Item = Arg> {
    let settings = settings.into_iter();
    let settings = settings.filter(|about| about.places != Places::Environment);
    settings.map(flag)
}

/// The flag of a setting. Help names the default, but clap does not set it: the settings
/// file comes before it.
fn flag(about: &'static About) -> Arg {
    let help = match about.default {
        None | Some("") => about.help.to_owned(),
        Some(default) => format!("{} [default: {default}]", about.help),
    };
    let flag = Arg::new(about.name)
        .long(about.name)
        .env(about.env())
        .hide_env_values(true)
        .value_name(about.value)
        .help(help);
    if about.value == settings::SWITCH {
        let alone = flag.num_args(0..=1).require_equals(true);
        return alone.default_missing_value("true");
    }
    flag
}
