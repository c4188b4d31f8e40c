use super::{command::grammar, *};

#[test]
fn the_command_line_is_consistent() {
    grammar().debug_assert();
}

#[test]
fn the_token_is_no_flag() {
    for args in [
        ["mesibo-grpc", "serve", "--app-token", "s3cret"].as_slice(),
        &["mesibo-grpc", "serve", "--app-token=s3cret"],
    ] {
        let error = parse(args.iter().map(Into::into)).unwrap_err();
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}

#[test]
fn the_document_lists_every_setting_with_its_default() {
    let document = include_str!("../../docs/settings.md");
    let all = [
        Config::settings(),
        SandboxConfig::settings(),
        HealthConfig::settings(),
        ClientConfig::settings(),
    ];
    for about in all.concat() {
        let env = format!("`{}`", about.env());
        let row = document
            .lines()
            .find(|line| line.starts_with('|') && line.contains(&env))
            .unwrap_or_else(|| panic!("docs/settings.md has no row for {env}"));
        let (name, default) = (about.name, about.default.unwrap_or_default());
        assert!(row.contains(default), "{row} lacks {default}");
        assert!(row.contains(&format!("`{name}`")), "{row} lacks {name}");
        assert!(row.contains(about.help), "{row} lacks {}", about.help);
    }
}

#[test]
fn each_example_of_the_help_is_a_command_line() {
    let mut grammar = grammar();
    grammar.build();
    let examples = examples(&grammar);
    for line in &examples {
        let matches = super::command::grammar().try_get_matches_from(line.split(' '));
        assert!(matches.is_ok(), "{line}: {}", matches.unwrap_err());
    }
    for command in [
        "serve",
        "call",
        "import users",
        "store migrate",
        "export users",
    ] {
        let start = format!("mesibo-grpc {command} ");
        let is_there = examples.iter().any(|line| line.starts_with(&start));
        assert!(is_there, "{command} has no example");
    }
}

/// The examples in the long help of a command and of those below it.
fn examples(command: &clap::Command) -> Vec<String> {
    let help = command.get_after_long_help().map(ToString::to_string);
    let help = help.unwrap_or_default();
    let lines = help.lines().map(str::trim);
    let lines = lines.filter(|line| line.starts_with("mesibo-grpc "));
    let mut all: Vec<_> = lines.map(ToOwned::to_owned).collect();
    all.extend(command.get_subcommands().flat_map(examples));
    all
}
