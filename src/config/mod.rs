//! The settings, read and checked.
//!
//! A setting comes from its flag, or else its environment variable, or else the settings
//! file, or else it has its default. All mistakes are reported together. Imports run one
//! way, from the last of this list to the first:
//!
//! - `values`: parsers of values
//! - [`settings`]: every setting, with its parser, its default and its help
//! - `mistakes`: what is wrong, for people
//! - `tree`: TOML with line numbers
//! - `file`: the settings file
//! - `section`: a table of an app or a caller in the settings file
//! - [`apps`], [`callers`]: those tables
//! - `reader`: looks settings up, one after the other
//! - `server`, `store`, `upstream`, `emulator`, `client`: how to serve, what is remembered, the
//!   way to Mesibo, the emulator of the sandbox, and the server that a client asks, by a reader

pub mod apps;
pub mod callers;
mod client;
mod emulator;
mod file;
mod mistakes;
mod reader;
mod section;
mod server;
pub mod settings;
mod store;
mod tree;
mod upstream;
mod values;

use std::{
    cell::RefCell,
    mem,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use tracing_subscriber::filter::Targets;
use url::Url;

use crate::{
    access::Caller,
    service::{StreamLimits, TokenDeletion},
    status::ErrorCodes,
    store::{Config as StoreConfig, Location},
    telemetry::{Format, audit::AuditConfig},
};
use apps::{AppConfig, WorldApps};
use callers::{CallerFile, Surroundings, TlsKind};
use reader::Reader;
use settings::About;

pub use client::{ClientConfig, ExistingConfig, HealthConfig, ServerAddress};
pub use emulator::EmulatorConfig;
pub use mistakes::{Given, Mistakes, Origin};
pub(crate) use mistakes::{nearest, suggestion};

/// The settings of the facade, which `serve` and `sandbox` have in common.
#[derive(Debug)]
pub struct Config {
    /// The server.
    pub server: crate::server::Config,
    /// The apps, each with its way to Mesibo.
    pub apps: Vec<AppConfig>,
    /// The apps of the sandbox besides [`Self::apps`]. `None` refuses calls for others.
    pub worlds: Option<WorldApps>,
    /// The app of calls that name none.
    pub default_app: Arc<str>,
    /// The callers. Without any, every client may call everything.
    pub callers: Vec<Caller>,
    /// The file that the callers are from, to be read again when it changes.
    pub caller_file: Option<CallerFile>,
    /// Whether every client may use server reflection.
    pub open_reflection: bool,
    /// Where calls with a `request_id` are remembered.
    pub store: StoreConfig,
    /// The limits of streams.
    pub streams: StreamLimits,
    /// The operation that `DeleteUserToken` sends.
    pub token_deletion: TokenDeletion,
    /// The gRPC statuses of Mesibo's error codes.
    pub error_codes: ErrorCodes,
    /// The levels of the log.
    pub log: Targets,
    /// The format of the log.
    pub log_format: Format,
    /// The place of the audit, and what becomes of writes without it.
    pub audit: AuditConfig,
    /// The address that metrics are served on, if they are.
    pub metrics_listen: Option<SocketAddr>,
    /// What is allowed but dangerous, each a line for the log of the start.
    pub warnings: Vec<String>,
}

/// The settings of `sandbox`.
#[derive(Debug)]
pub struct SandboxConfig {
    /// The facade, whose upstream is the emulator.
    pub facade: Config,
    /// The emulator.
    pub emulator: EmulatorConfig,
}

/// The settings of `store migrate`.
#[derive(Debug)]
pub struct MigrateConfig {
    /// The store whose schema is brought up to date.
    pub store: StoreConfig,
}

impl Config {
    /// Reads the settings of `serve`. `lookup` gives the value of a setting from flags,
    /// the environment, or wherever the program has its settings.
    ///
    /// # Errors
    ///
    /// If any setting is wrong, or the token is missing.
    pub fn read<G: Into<Given>>(
        lookup: impl Fn(&'static About) -> Option<G>,
    ) -> Result<Self, Mistakes> {
        let lookup = |about| lookup(about).map(Into::into);
        let mut reader = Reader::with_file(&lookup, in_file);
        let url = reader.get(&settings::UPSTREAM_URL);
        let mut common = reader.upstream(url);
        common.proxy = reader.proxy();
        common.protocol = reader.get(&settings::UPSTREAM_PROTOCOL);
        common.ca_certificates = reader.find(&settings::UPSTREAM_CA_FILE);
        let apps = reader.apps(common);
        let mut config = reader.facade(apps, "the application's token");
        config.store = reader.store_for(config.server.deadlines);
        config.server.lame_duck = reader.get(&settings::LAME_DUCK);
        config.metrics_listen = reader.metrics_listen(&settings::METRICS_LISTEN);
        config.warnings = mem::take(&mut reader.warnings);
        reader.finish(config)
    }

    /// The settings that [`Self::read`] looks up.
    #[must_use]
    pub fn settings() -> Vec<&'static About> {
        looked_up(|lookup| Self::read(lookup).map(drop))
    }
}

impl SandboxConfig {
    /// Reads the settings of `sandbox`, as [`Config::read`] those of `serve`.
    ///
    /// # Errors
    ///
    /// If any setting is wrong.
    pub fn read<G: Into<Given>>(
        lookup: impl Fn(&'static About) -> Option<G>,
    ) -> Result<Self, Mistakes> {
        let lookup = |about| lookup(about).map(Into::into);
        let mut reader = Reader::with_file(&lookup, in_file);
        let emulator = reader.emulator();
        let worlds = WorldApps {
            upstream: reader.upstream(sandbox_url(emulator.listen)),
            tokens: emulator.tokens.clone(),
        };
        let apps = reader.sandbox_apps(&worlds);
        let mut config = Self {
            facade: reader.facade(apps, "the sandbox"),
            emulator,
        };
        config.facade.worlds = Some(worlds);
        let metrics_listen = &settings::SANDBOX_METRICS_LISTEN;
        config.facade.metrics_listen = reader.metrics_listen(metrics_listen);
        config.facade.warnings = mem::take(&mut reader.warnings);
        reader.finish(config)
    }

    /// The settings that [`Self::read`] looks up.
    #[must_use]
    pub fn settings() -> Vec<&'static About> {
        looked_up(|lookup| Self::read(lookup).map(drop))
    }
}

impl MigrateConfig {
    /// Reads the settings of `store migrate`, as [`Config::read`] those of `serve`.
    ///
    /// # Errors
    ///
    /// If any setting is wrong.
    pub fn read<G: Into<Given>>(
        lookup: impl Fn(&'static About) -> Option<G>,
    ) -> Result<Self, Mistakes> {
        let lookup = |about| lookup(about).map(Into::into);
        let mut reader = Reader::with_file(&lookup, in_file);
        let config = Self {
            store: reader.store(),
        };
        reader.finish(config)
    }

    /// The settings that [`Self::read`] looks up.
    #[must_use]
    pub fn settings() -> Vec<&'static About> {
        looked_up(|lookup| Self::read(lookup).map(drop))
    }
}

/// The format of the log, for settings among which others may be wrong: text if it cannot
/// be read.
pub fn log_format<G: Into<Given>>(lookup: impl Fn(&'static About) -> Option<G>) -> Format {
    let lookup = |about| lookup(about).map(Into::into);
    let mut reader = Reader::with_file(&lookup, in_file);
    reader.find(&settings::LOG_FORMAT).unwrap_or(Format::Text)
}

/// Checks the name of a caller.
///
/// # Errors
///
/// If the settings file could not have it.
pub fn caller_name(name: &str) -> Result<String, String> {
    values::callers::name(name)
}

/// The URL of an emulator that listens on `address`.
#[must_use]
pub fn sandbox_url(mut address: SocketAddr) -> Url {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    Url::parse(&format!("http://{address}/api.php")).expect("a socket address makes a URL")
}

/// The settings that the settings file may have: those of `serve` and `sandbox`.
fn in_file() -> Vec<&'static About> {
    let mut settings = Config::settings();
    settings.extend(SandboxConfig::settings());
    settings
}

/// The settings that `read` looks up, by group and name. It looks up the same
/// ones whatever their values are, so it runs once with no values at all.
fn looked_up(
    read: impl FnOnce(&dyn Fn(&'static About) -> Option<Given>) -> Result<(), Mistakes>,
) -> Vec<&'static About> {
    let settings: RefCell<Vec<&'static About>> = RefCell::default();
    // Without values the token is missing, which is no mistake here.
    let _ = read(&|about| {
        let mut settings = settings.borrow_mut();
        if settings.iter().all(|known| known.name != about.name) {
            settings.push(about);
        }
        None
    });
    let mut settings = settings.into_inner();
    settings.sort_by_key(|about| (about.group, about.name));
    settings
}

impl Reader<'_> {
    /// The settings that `serve` and `sandbox` have in common.
    /// `resource` is what strangers must not use.
    fn facade(&mut self, apps: Vec<AppConfig>, resource: &'static str) -> Config {
        let default_app = self.default_name(&apps);
        let server = self.server();
        let surroundings = Surroundings {
            listen: server.listen,
            tls: match &server.tls {
                None => TlsKind::None,
                Some(tls) if tls.is_mutual() => TlsKind::Mutual,
                Some(_) => TlsKind::Server,
            },
            allow_anonymous: self.get(&settings::ALLOW_ANONYMOUS),
            allow_plaintext: self.get(&settings::ALLOW_PLAINTEXT),
            apps: apps
                .iter()
                .map(|app| Arc::clone(&app.upstream.app))
                .collect(),
            default_app: Arc::clone(&default_app),
            resource,
        };
        let callers = surroundings.read(&self.file, &mut self.mistakes);
        self.warnings.extend(surroundings.warnings(&callers));
        if server.proxy_protocol {
            self.warnings.push(format!(
                "{}: every client that reaches the gRPC port can name any address as its own; \
                 only the balancer may reach the port",
                settings::PROXY_PROTOCOL.name()
            ));
        }
        let token_deletion = self.get(&settings::DELETE_USER_TOKEN_OP);
        if token_deletion == TokenDeletion::UserDel {
            self.warnings.push(format!(
                "{}: DeleteUserToken sends userdel, which deletes the user at Mesibo",
                settings::DELETE_USER_TOKEN_OP.name()
            ));
        }
        Config {
            server,
            apps,
            worlds: None,
            default_app,
            callers,
            caller_file: CallerFile::new(&self.file, in_file, surroundings),
            open_reflection: self.get(&settings::OPEN_REFLECTION),
            store: StoreConfig::new(Location::Memory),
            streams: StreamLimits {
                window: self.get(&settings::STREAM_WINDOW),
                idle_timeout: self.get(&settings::STREAM_IDLE_TIMEOUT),
            },
            token_deletion,
            error_codes: self.get(&settings::ERROR_CODES),
            log: self.get(&settings::LOG),
            log_format: self.get(&settings::LOG_FORMAT),
            audit: AuditConfig {
                to: self.get(&settings::AUDIT_LOG),
                on_failure: self.get(&settings::AUDIT_ON_FAILURE),
            },
            metrics_listen: None,
            warnings: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
