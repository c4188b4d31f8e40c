//! Environment variables that look like settings and are none.

use std::env;

use crate::config::{
    ClientConfig, Config, HealthConfig, Mistakes, SandboxConfig, nearest, settings::ENV_PREFIX,
    suggestion,
};

/// The variables of this process that begin like those of settings, and are no settings of
/// any command: all commands of an image share one environment.
pub(super) fn unknown() -> Mistakes {
    let names = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    unknown_of(names)
}

fn unknown_of(names: impl Iterator<Item = String>) -> Mistakes {
    let commands = [
        Config::settings(),
        SandboxConfig::settings(),
        HealthConfig::settings(),
        ClientConfig::settings(),
    ];
    let known: Vec<_> = commands.concat().iter().map(|about| about.env()).collect();
    // The prefix, which all have, would make all alike.
    let known: Vec<_> = known
        .iter()
        .filter_map(|name| name.strip_prefix(ENV_PREFIX))
        .collect();
    let mut mistakes = Mistakes::default();
    for name in names {
        let Some(rest) = name.strip_prefix(ENV_PREFIX) else {
            continue;
        };
        if known.contains(&rest) || is_service_link(rest) {
            continue;
        }
        let nearest = nearest(rest, known.iter().copied());
        let nearest = nearest.map(|nearest| format!("{ENV_PREFIX}{nearest}"));
        let suggestion = suggestion(nearest.as_deref());
        mistakes.push(&name, format_args!("no such setting{suggestion}"));
    }
    mistakes
}

/// Whether Kubernetes makes a variable with this end for a Service whose name begins with
/// `mesibo-grpc`: `…_SERVICE_HOST`, `…_SERVICE_PORT…`, `…_PORT`, or `…_PORT_50051_TCP…`.
fn is_service_link(name: &str) -> bool {
    let name = format!("_{name}");
    let is_port = |(_, rest): (&str, &str)| {
        let number = rest.strip_prefix('_');
        rest.is_empty() || number.is_some_and(|it| it.starts_with(|c: char| c.is_ascii_digit()))
    };
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.split_once("_PORT").is_some_and(is_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_is_no_setting_is_a_mistake_unless_kubernetes_makes_it() {
        let names = [
            "PATH",
            "MESIBO_APP_TOKEN",
            "MESIBO_GRPC_LISTEN",
            "MESIBO_GRPC_EMULATOR_LISTEN",
            "MESIBO_GRPC_SERVICE",
            "MESIBO_GRPC_LISTNE",
            "MESIBO_GRPC_QUX",
            "MESIBO_GRPC_SERVICE_HOST",
            "MESIBO_GRPC_SERVICE_PORT",
            "MESIBO_GRPC_SERVICE_PORT_GRPC",
            "MESIBO_GRPC_PORT",
            "MESIBO_GRPC_PORT_50051_TCP_ADDR",
            "MESIBO_GRPC_METRICS_PORT_9464_TCP",
        ];
        let mistakes = unknown_of(names.into_iter().map(ToOwned::to_owned));
        assert_eq!(
            mistakes.iter().collect::<Vec<_>>(),
            [
                "MESIBO_GRPC_LISTNE: no such setting; did you mean MESIBO_GRPC_LISTEN?",
                "MESIBO_GRPC_QUX: no such setting",
            ]
        );
    }
}
