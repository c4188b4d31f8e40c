//! The grammar of the command line, and the help.

use std::{fmt::Write as _, path::PathBuf};

use clap::{
    Arg, ArgAction, Command,
    builder::{PossibleValue, PossibleValuesParser},
    value_parser,
};
use clap_complete::Shell;
use mesibo_sandbox::DEFAULT_TOKEN;

use super::call;
use crate::config::{
    ClientConfig, Config, ExistingConfig, HealthConfig, MigrateConfig, SandboxConfig, caller_name,
    settings::{self, About, Places},
};

pub(super) const SERVE: &str = "serve";
pub(super) const CHECK: &str = "check";
pub(super) const SANDBOX: &str = "sandbox";
pub(super) const HEALTH: &str = "health";
pub(super) const CALL: &str = "call";
pub(super) const KEY: &str = "key";
pub(super) const IMPORT: &str = "import";
pub(super) const EXPORT: &str = "export";
pub(super) const USERS: &str = "users";
pub(super) const SEND: &str = "send";
pub(super) const STORE: &str = "store";
pub(super) const MIGRATE: &str = "migrate";
pub(super) const FORGET: &str = "forget";
pub(super) const COMPLETIONS: &str = "completions";
pub(super) const MAN: &str = "man";

/// The flag of `check` that allows calls to Mesibo.
pub(super) const ONLINE: &str = "online";

/// The flag of `check` for the form of its report.
pub(super) const FORMAT: &str = "format";

/// The values of [`FORMAT`].
pub(super) const AS_TEXT: &str = "text";
pub(super) const AS_JSON: &str = "json";

/// The argument of `key`.
pub(super) const CALLER: &str = "NAME";

/// The arguments of `call`.
pub(super) const RPC: &str = "RPC";
pub(super) const JSON: &str = "JSON";
pub(super) const LIST: &str = "list";
pub(super) const DESCRIBE: &str = "describe";

/// An argument of `store forget`.
pub(super) const FORGET_APP: &str = "app";

/// An argument of `store forget`.
pub(super) const FORGET_ADDRESS: &str = "address";

/// The arguments of `import users`, `send` and `export users`.
pub(super) const FILE: &str = "FILE";
pub(super) const RESULTS: &str = "results";
pub(super) const RATE: &str = "rate";
pub(super) const DRY_RUN: &str = "dry-run";
pub(super) const NO_TOKENS: &str = "no-tokens";

/// The arguments of `import users` for users whom Mesibo had before.
pub(super) const EXISTING: &str = "existing";
pub(super) const VERIFY: &str = "verify";

/// Most rows a second that `--rate` may say.
const MAX_RATE: f64 = 1_000_000.0;

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
        .subcommand(with_settings(
            SERVE,
            Command::new(SERVE).about("Serve the facade in front of Mesibo"),
            &Config::settings(),
            &format!(
                "The token of the Mesibo application comes from the environment variable {} or \
                 from --{}.",
                settings::APP_TOKEN.about().env(),
                settings::APP_TOKEN_FILE.name()
            ),
        ))
        .subcommand(check())
        .subcommand(with_settings(
            SANDBOX,
            Command::new(SANDBOX)
                .about("Serve the facade in front of an embedded emulator, with no account"),
            &SandboxConfig::settings(),
            &format!(
                "The application token of the emulator is \"{DEFAULT_TOKEN}\", unless --{} sets \
                 another; {DEFAULT_TOKEN}-NAME, or mesibo-app: NAME in the metadata of a call, is \
                 for a world of its own.",
                settings::EMULATOR_TOKEN.name()
            ),
        ))
        .subcommand(with_settings(
            HEALTH,
            Command::new(HEALTH).about("Ask a running server whether it serves"),
            &HealthConfig::settings(),
            "It prints SERVING and has the exit status 0 if the server serves, else 1.",
        ))
        .subcommand(
            Command::new(CALL)
                .about("Make one call to a running server")
                .defer(call),
        )
        .subcommand(
            Command::new(IMPORT)
                .about("Add what a file has, by the thousand")
                .subcommand_required(true)
                .subcommand(import_users()),
        )
        .subcommand(of_file(
            &format!("{SEND} messages.csv"),
            Command::new(SEND).about("Send the messages of a file, by the thousand"),
            &ClientConfig::settings(),
        ))
        .subcommand(
            Command::new(EXPORT)
                .about("Write what the directory of a server has to a file")
                .subcommand_required(true)
                .subcommand(export_users()),
        )
        .subcommand(store())
        .subcommand(
            Command::new(KEY)
                .about("Make a key for a caller")
                .after_help(
                    "Standard output has the key alone; standard error has the settings entry \
                     with its hash.",
                )
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

/// The arguments of `call`. They need the contract, which other commands do without.
fn call(command: Command) -> Command {
    let rpcs = call::all().map(|rpc| {
        let [name, others @ ..] = call::names(&rpc);
        PossibleValue::new(name)
            .aliases(others)
            .help(call::summary(&rpc))
    });
    let note = "It prints the response as JSON. A call that fails is explained on standard error; \
                the exit status is then 64 and the number of the gRPC code, such as 69 for \
                NOT_FOUND. 2 is a wrong command line or a request that does not fit the contract.";
    with_settings(
        &format!("{CALL} ListUsers"),
        command,
        &ClientConfig::settings(),
        note,
    )
    .arg(
        Arg::new(RPC)
            .help("The RPC, by its short or its full name")
            .value_parser(PossibleValuesParser::new(rpcs))
            .hide_possible_values(true)
            .required_unless_present(LIST),
    )
    .arg(
        Arg::new(JSON)
            .help("The request; - reads it from standard input")
            .default_value(call::EMPTY),
    )
    .arg(
        Arg::new(LIST)
            .long(LIST)
            .help("List the RPCs, and make no call")
            .action(ArgAction::SetTrue)
            .exclusive(true),
    )
    .arg(
        Arg::new(DESCRIBE)
            .long(DESCRIBE)
            .help("Describe the RPC, its request and its response, and make no call")
            .action(ArgAction::SetTrue)
            .conflicts_with(JSON),
    )
}

/// `check`, which has the settings of `serve`.
fn check() -> Command {
    let command = Command::new(CHECK)
        .about("Check settings, files, certificates, callers, the store and the proxy, as serve does before it serves")
        .arg(
            Arg::new(ONLINE)
                .long(ONLINE)
                .help("Make one call to Mesibo for each app, which lists one user and changes nothing")
                .help_heading("Check")
                .action(ArgAction::SetTrue),
        )
        .arg(
            Arg::new(FORMAT)
                .long(FORMAT)
                .value_name("text|json")
                .help("Form of the report: lines for people, or one JSON object")
                .help_heading("Check")
                .value_parser([AS_TEXT, AS_JSON])
                .hide_possible_values(true)
                .default_value(AS_TEXT),
        );
    with_settings(
        CHECK,
        command,
        &Config::settings(),
        "It makes and changes nothing. Exit status 1: something does not answer, which may pass; \
         2: something is wrong. Run it as the user that serves, with the same settings.",
    )
}

/// The commands that look after the store.
fn store() -> Command {
    Command::new(STORE)
        .about("Look after the store of request ids")
        .subcommand_required(true)
        .subcommand(with_settings(
            &format!("{STORE} {MIGRATE}"),
            Command::new(MIGRATE)
                .about("Bring the schema of the store up to date, as serve does at its start"),
            &MigrateConfig::settings(),
            "It has the exit status 0 if the schema is the one of this program, else 1.",
        ))
        .subcommand(with_settings(
            &format!("{STORE} {FORGET} --app demo --address alice"),
            Command::new(FORGET)
                .about("Delete a user from the directory, with its places in groups")
                .arg(
                    Arg::new(FORGET_APP)
                        .long(FORGET_APP)
                        .value_name("NAME")
                        .help("Name of the app that the user is of")
                        .required(true),
                )
                .arg(
                    Arg::new(FORGET_ADDRESS)
                        .long(FORGET_ADDRESS)
                        .value_name("ADDRESS")
                        .help("Address of the user")
                        .required(true),
                ),
            &MigrateConfig::settings(),
            "Mesibo is not asked and keeps what it has: DeleteUser deletes a user there, \
                     too.",
        ))
}

/// `import users`.
fn import_users() -> Command {
    of_file(
        &format!("{IMPORT} {USERS} users.csv"),
        Command::new(USERS).about("Add the users of a file"),
        &ExistingConfig::settings(),
    )
    .arg(
        Arg::new(NO_TOKENS)
            .long(NO_TOKENS)
            .help("Leave access tokens out of the results")
            .action(ArgAction::SetTrue),
    )
    .arg(
        Arg::new(EXISTING)
            .long(EXISTING)
            .help("The file has users whom Mesibo has already: add them to the directory of the store, and nothing to Mesibo")
            .action(ArgAction::SetTrue)
            .conflicts_with_all([NO_TOKENS, RESULTS]),
    )
    .arg(
        Arg::new(VERIFY)
            .long(VERIFY)
            .help("Ask Mesibo for each of them, through the running server, and add those alone whom it has")
            .action(ArgAction::SetTrue)
            .requires(EXISTING),
    )
}

/// `export users`.
fn export_users() -> Command {
    let command = Command::new(USERS)
        .about("Write the users that the directory of a server has to a file")
        .arg(
            Arg::new(FILE)
                .help("The file; - is standard output")
                .default_value("-")
                .value_parser(value_parser!(PathBuf)),
        )
        .arg(format());
    let note = "The file is CSV with a header, or JSON Lines, and only its owner may read it. It \
                is replaced when all users are written, and stays as it was if they are not. The \
                exit status is then 1, and 2 for a wrong command line.";
    let usage = format!("{EXPORT} {USERS} users.csv");
    with_settings(&usage, command, &ClientConfig::settings(), note)
}

/// The flag for the format of a file.
fn format() -> Arg {
    Arg::new(FORMAT)
        .long(FORMAT)
        .value_name("FORMAT")
        .help("Format of the file [default: by the end of its name, or csv]")
        .value_parser(["csv", "jsonl"])
}

/// The arguments of a command that sends the rows of a file.
fn of_file(usage: &str, command: Command, settings: &[&'static About]) -> Command {
    let note = "The file is CSV with a header, or JSON Lines. Results are written as they come, and \
                the same command again goes on where it stopped. The exit status is 0 if every row \
                is done, 1 if one is not, and 2 for a wrong command line.";
    with_settings(usage, command, settings, note)
        .arg(
            Arg::new(FILE)
                .help("The file; - is standard input")
                .required(true)
                .value_parser(value_parser!(PathBuf)),
        )
        .arg(
            Arg::new(RESULTS)
                .long(RESULTS)
                .value_name("FILE")
                .help("File of the results [default: FILE.results.csv, or standard output for -]")
                .value_parser(value_parser!(PathBuf)),
        )
        .arg(format())
        .arg(
            Arg::new(RATE)
                .long(RATE)
                .value_name("NUMBER")
                .help("Most rows a second")
                .value_parser(rate),
        )
        .arg(
            Arg::new(DRY_RUN)
                .long(DRY_RUN)
                .help("Check every row, and send nothing")
                .action(ArgAction::SetTrue),
        )
}

/// A rate in rows a second.
fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok();
    rate.filter(|rate| (0.001..=MAX_RATE).contains(rate))
        .ok_or_else(|| format!("expected a number from 0.001 to {MAX_RATE}"))
}

/// A command with the flags of its settings: `-h` has the common ones, `--help` has all,
/// with an example for each group. `usage` is the command with the least that it needs
/// besides, and `note` ends both.
fn with_settings(
    usage: &str,
    command: Command,
    settings: &[&'static About],
    note: &str,
) -> Command {
    let flags: Vec<_> = settings
        .iter()
        .filter(|about| about.places != Places::Environment)
        .collect();
    let mut short = note.to_owned();
    let hidden = flags.iter().filter(|about| !about.is_common).count();
    if hidden > 0 {
        let _ = write!(
            short,
            " See --help for {hidden} more settings and for examples."
        );
    }
    let mut groups: Vec<_> = flags.iter().map(|about| about.group).collect();
    groups.dedup();
    let mut examples = "Examples:\n".to_owned();
    for group in groups {
        let (title, example) = (group.title(), group.example());
        let _ = write!(
            examples,
            "  {title}:\n      {} {usage} {example}\n",
            env!("CARGO_PKG_NAME")
        );
    }
    command
        .args(flags.into_iter().map(|about| flag(about)))
        .after_help(short)
        .after_long_help(format!("{note}\n\n{examples}"))
}

/// The flag of a setting. Help names the default, but clap does not set it: the settings
/// file comes before it.
fn flag(about: &'static About) -> Arg {
    let default = about.default.filter(|default| !default.is_empty());
    let default = default.map_or_else(String::new, |default| format!(" [default: {default}]"));
    let first_clause = about
        .help
        .split("; ")
        .flat_map(|part| part.split(". "))
        .next();
    let flag = Arg::new(about.name)
        .long(about.name)
        .env(about.env())
        .hide_env(true)
        .value_name(about.value)
        .help(format!("{}{default}", first_clause.unwrap_or_default()))
        .long_help(format!("{}{default} [env: {}]", about.help, about.env()))
        .help_heading(about.group.title())
        .hide_short_help(!about.is_common);
    if about.value == settings::SWITCH {
        let alone = flag.num_args(0..=1).require_equals(true);
        return alone.default_missing_value("true");
    }
    flag
}
