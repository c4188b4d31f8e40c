//! The settings: the name, the parser, the default and the help of each, by group.
//!
//! A setting is added as one constant here, and read where its value is needed: the flags
//! of a command, its environment variables and the keys of the settings file are the
//! settings that the command reads. One that nothing reads is dead code, which does not
//! compile without a warning.

mod callers;
mod client;
mod emulator;
mod general;
mod limits;
mod listening;
mod logs;
mod mesibo;
mod requests;
mod shutdown;
mod store;
mod tls;

pub(crate) use callers::*;
pub(crate) use client::*;
pub(crate) use emulator::*;
pub(crate) use general::*;
pub(crate) use limits::*;
pub(crate) use listening::*;
pub(crate) use logs::*;
pub(crate) use mesibo::*;
pub(crate) use requests::*;
pub(crate) use shutdown::*;
pub(crate) use store::*;
pub(crate) use tls::*;

/// The value of a setting that is on or off.
pub(crate) const SWITCH: &str = "true|false";

/// The prefix of the environment variables of settings.
pub(crate) const ENV_PREFIX: &str = "MESIBO_GRPC_";

/// A setting whose values have the type `T`.
#[derive(Debug)]
pub(crate) struct Setting<T: 'static> {
    about: About,
    parse: fn(&str) -> Result<T, String>,
}

/// What help, documentation and messages say about a setting.
#[derive(Debug)]
pub struct About {
    /// The name: the flag without its dashes, and the key in the settings file.
    pub name: &'static str,
    /// The placeholder of the value: `true|false` if the flag alone means `true`.
    pub value: &'static str,
    /// The default, if there is one, in the form of a value.
    pub default: Option<&'static str>,
    /// The meaning, in a sentence or two without the last full stop.
    pub help: &'static str,
    /// The group in `--help`.
    pub group: Group,
    /// The places that the setting may be in.
    pub places: Places,
    /// Whether `-h` shows the setting.
    pub is_common: bool,
    /// Whether a value may be a secret, which messages do not show.
    pub is_secret: bool,
    /// The environment variable, if it does not follow from the name.
    env: Option<&'static str>,
}

/// The places that a setting may be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Places {
    /// A flag, an environment variable, or the settings file.
    All,
    /// A flag or an environment variable.
    NotInFile,
    /// An environment variable: every user of the machine can read a command line.
    Environment,
}

/// The groups of settings, in the order of `--help`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// The settings file.
    General,
    /// The ports.
    Listening,
    /// The emulator.
    Emulator,
    /// TLS on the gRPC port.
    Tls,
    /// Who may call.
    Callers,
    /// The way to Mesibo.
    Mesibo,
    /// The requests to Mesibo.
    Requests,
    /// The store.
    Store,
    /// The limits of calls and connections.
    Limits,
    /// The shutdown.
    Shutdown,
    /// Logs and metrics.
    Logs,
    /// The server that clients ask, and who asks.
    Client,
}

impl<T> Setting<T> {
    /// A setting that may be in all places and has no default.
    const fn new(
        group: Group,
        name: &'static str,
        value: &'static str,
        parse: fn(&str) -> Result<T, String>,
    ) -> Self {
        let about = About {
            name,
            value,
            default: None,
            help: "",
            group,
            places: Places::All,
            is_common: false,
            is_secret: false,
            env: None,
        };
        Self { about, parse }
    }

    const fn default(mut self, default: &'static str) -> Self {
        self.about.default = Some(default);
        self
    }

    const fn help(mut self, help: &'static str) -> Self {
        self.about.help = help;
        self
    }

    const fn env(mut self, env: &'static str) -> Self {
        self.about.env = Some(env);
        self
    }

    const fn places(mut self, places: Places) -> Self {
        self.about.places = places;
        self
    }

    const fn common(mut self) -> Self {
        self.about.is_common = true;
        self
    }

    const fn secret(mut self) -> Self {
        self.about.is_secret = true;
        self
    }

    pub(crate) const fn about(&self) -> &About {
        &self.about
    }

    pub(crate) const fn name(&self) -> &'static str {
        self.about.name
    }

    /// Parses a value. A mistake says what is allowed, without the value.
    pub(crate) fn parse(&self, text: &str) -> Result<T, String> {
        (self.parse)(text)
    }
}

impl About {
    /// The environment variable: `MESIBO_GRPC_` and the name in upper case, unless the
    /// setting has one of its own.
    #[must_use]
    pub fn env(&self) -> String {
        let derived = || format!("{ENV_PREFIX}{}", self.name.to_uppercase().replace('-', "_"));
        self.env.map_or_else(derived, ToOwned::to_owned)
    }
}

impl Group {
    /// The heading in `--help`.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::General => "Settings file",
            Self::Listening => "Listening",
            Self::Emulator => "Emulator",
            Self::Tls => "TLS",
            Self::Callers => "Callers",
            Self::Mesibo => "Mesibo",
            Self::Requests => "Requests to Mesibo",
            Self::Store => "Store",
            Self::Limits => "Limits of calls and connections",
            Self::Shutdown => "Shutdown",
            Self::Logs => "Logs and metrics",
            Self::Client => "Server to ask",
        }
    }

    /// Flags of the group, as an example.
    #[must_use]
    pub fn example(self) -> &'static str {
        match self {
            Self::General => "--config /etc/mesibo-grpc/settings.toml",
            Self::Listening => "--listen 127.0.0.1:50051 --health-listen 127.0.0.1:50052",
            Self::Emulator => "--emulator-listen 127.0.0.1:50080 --data sandbox.json",
            Self::Tls => "--tls-certificate-file tls.crt --tls-key-file tls.key",
            Self::Callers => "--default-app shop --open-reflection",
            Self::Mesibo => "--app-token-file token --upstream-proxy http://10.0.0.1:3128",
            Self::Requests => "--upstream-max-in-flight 256 --upstream-max-wait 250ms",
            Self::Store => "--store sqlite:/var/lib/mesibo-grpc/store.db",
            Self::Limits => "--default-deadline 5s --max-deadline 30s",
            Self::Shutdown => "--shutdown-grace 30s",
            Self::Logs => "--log warn,mesibo_grpc=info --log-format json",
            Self::Client => "--address https://localhost:50051 --ca-file ca.crt",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_follows_from_the_name_unless_the_setting_has_its_own() {
        assert_eq!(TLS_KEY_FILE.about().env(), "MESIBO_GRPC_TLS_KEY_FILE");
        assert_eq!(APP_TOKEN.about().env(), "MESIBO_APP_TOKEN");
    }
}
