//! The settings, read and checked.
//!
//! A setting comes from its flag, or else its environment variable, or else the
//! settings file, or else it has its default. All mistakes are reported together,
//! each under the name of its setting and without the value, which may be a secret.
//!
//! - [`settings`]: every setting, with its default
//! - `file`: the settings file
//! - `section`: a table of it, of an app or a caller
//! - `server`: how to serve
//! - [`apps`]: the apps
//! - [`callers`]: the callers, and what they must fit in with
//! - `values`: how values are read

pub mod apps;
pub mod callers;
mod file;
mod section;
mod server;
pub mod settings;
mod values;

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use tracing_subscriber::filter::Targets;
use url::Url;
use zeroize::Zeroizing;

use crate::{access::Caller, service::TokenDeletion, status::ErrorCodes, telemetry::Format};
use apps::AppConfig;
use callers::{CallerFile, Surroundings, TlsKind};
use file::File;
use settings::Setting;

/// The application token that the sandbox takes. It guards nothing.
pub const SANDBOX_TOKEN: &str = "sandbox";

/// What `serve` and `sandbox` need to know.
#[derive(Debug)]
pub struct Config {
    /// How to serve.
    pub server: crate::server::Config,
    /// The apps, and how to reach Mesibo for each.
    pub apps: Vec<AppConfig>,
    /// The app of calls that name none.
    pub default_app: Arc<str>,
    /// Who may call. Empty if everyone may.
    pub callers: Vec<Caller>,
    /// The file that the callers are from, to be read again when it changes.
    pub caller_file: Option<CallerFile>,
    /// Whether reflection is for everyone.
    pub open_reflection: bool,
    /// Largest request message, in bytes.
    pub max_request_bytes: usize,
    /// What `DeleteUserToken` sends.
    pub token_deletion: TokenDeletion,
    /// What Mesibo's error codes mean.
    pub error_codes: ErrorCodes,
    /// What is logged.
    pub log: Targets,
    /// How it is written.
    pub log_format: Format,
    /// Where metrics are served, if at all.
    pub metrics_listen: Option<SocketAddr>,
}

/// What `sandbox` needs to know besides.
#[derive(Debug)]
pub struct SandboxConfig {
    /// The facade, whose upstream is the emulator.
    pub facade: Config,
    /// The address of the emulator.
    pub emulator_listen: SocketAddr,
}

/// What `health` needs to know.
#[derive(Debug)]
pub struct HealthConfig {
    /// The server to ask.
    pub address: Url,
    /// Certificate authorities, in PEM, to trust besides the system's.
    pub ca_certificates: Option<Vec<u8>>,
    /// The service to ask for.
    pub service: String,
}

/// Settings that are wrong or missing, in one line.
#[derive(Debug, PartialEq, Eq)]
pub struct Mistakes(Vec<String>);

/// Looks settings up, and gathers the mistakes.
struct Reader<L> {
    lookup: L,
    file: File,
    mistakes: Vec<String>,
}

impl Config {
    /// Reads the settings of `serve`. `lookup` gives what flags and the environment
    /// say of a setting.
    ///
    /// # Errors
    ///
    /// If any setting is wrong, or the token is missing.
    pub fn read(lookup: impl Fn(&Setting) -> Option<String>) -> Result<Self, Mistakes> {
        let mut reader = Reader::with_file(lookup);
        let url = reader.get(&settings::UPSTREAM_URL, values::upstream_url);
        let mut common = reader.upstream(url);
        common.proxy = reader.find(&settings::UPSTREAM_PROXY, values::proxy);
        common.ca_certificates = reader.find(&settings::UPSTREAM_CA_FILE, values::ca_file);
        let tables = reader.file.apps.clone();
        let has_others = !tables.is_empty();
        let mut apps = AppConfig::read_all(tables, &common, &mut reader.mistakes);
        if let Some(app) = reader.default_app(common, has_others) {
            if reader.file.apps.contains_key(apps::DEFAULT) {
                reader.mistakes.push(format!(
                    "{}: expected every name once, and {} is that of {}",
                    file::APPS,
                    apps::DEFAULT,
                    settings::APP_TOKEN.name
                ));
            }
            apps.push(app);
        }
        let mut config = reader.facade(apps);
        config.server.lame_duck = reader.get(&settings::LAME_DUCK, values::delay);
        config.metrics_listen = reader.get(&settings::METRICS_LISTEN, values::address_or_none);
        reader.finish(config)
    }
}

impl SandboxConfig {
    /// Reads the settings of `sandbox`. `lookup` gives what flags and the
    /// environment say of a setting.
    ///
    /// # Errors
    ///
    /// If any setting is wrong.
    pub fn read(lookup: impl Fn(&Setting) -> Option<String>) -> Result<Self, Mistakes> {
        let mut reader = Reader::with_file(lookup);
        let emulator_listen = reader.get(&settings::EMULATOR_LISTEN, values::address);
        let mut upstream = reader.upstream(sandbox_url(emulator_listen));
        upstream.token = SANDBOX_TOKEN.into();
        let mut names: Vec<_> = reader
            .file
            .apps
            .keys()
            .map(|name| name.as_str().into())
            .collect();
        if names.is_empty() {
            names.push(apps::DEFAULT.into());
        }
        let apps = names.into_iter().map(|app| AppConfig {
            upstream: mesibo::Config {
                app,
                ..upstream.clone()
            },
            token_file: None,
            rate: None,
        });
        let mut config = Self {
            facade: reader.facade(apps.collect()),
            emulator_listen,
        };
        let metrics = &settings::SANDBOX_METRICS_LISTEN;
        config.facade.metrics_listen = reader.get(metrics, values::address_or_none);
        reader.finish(config)
    }
}

impl HealthConfig {
    /// Reads the settings of `health`. `lookup` gives what flags and the environment
    /// say of a setting.
    ///
    /// # Errors
    ///
    /// If any setting is wrong.
    pub fn read(lookup: impl Fn(&Setting) -> Option<String>) -> Result<Self, Mistakes> {
        let mut reader = Reader::new(lookup);
        let config = Self {
            address: reader.get(&settings::ADDRESS, values::server_url),
            ca_certificates: reader.find(&settings::CA_FILE, values::ca_file),
            service: reader.get(&settings::SERVICE, |name| Ok(name.to_owned())),
        };
        reader.finish(config)
    }
}

/// Checks the name of a caller.
///
/// # Errors
///
/// If it is not one that the settings file could have.
pub fn caller_name(name: &str) -> Result<String, String> {
    values::name(name).map_err(|mistake| format!("name: {mistake}"))
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

impl<L: Fn(&Setting) -> Option<String>> Reader<L> {
    fn new(lookup: L) -> Self {
        Self {
            lookup,
            file: File::default(),
            mistakes: Vec::new(),
        }
    }

    /// A reader that reads the settings file, if one is named.
    fn with_file(lookup: L) -> Self {
        let mut reader = Self::new(lookup);
        if let Some(file) = reader.find(&settings::CONFIG, file::read) {
            reader.file = file;
        }
        reader
    }

    /// A setting that has a default.
    fn get<T>(&mut self, setting: &Setting, parse: fn(&str) -> Result<T, String>) -> T {
        self.find(setting, parse).unwrap_or_else(|| {
            setting
                .default
                .and_then(|default| parse(default).ok())
                .expect("get is for settings with a default, and defaults are valid")
        })
    }

    /// A setting that may be left out.
    fn find<T>(&mut self, setting: &Setting, parse: fn(&str) -> Result<T, String>) -> Option<T> {
        let value = (self.lookup)(setting)
            .or_else(|| self.file.values.get(setting.name).cloned())
            .map(Zeroizing::new)?;
        parse(&value)
            .map_err(|mistake| self.mistakes.push(format!("{}: {mistake}", setting.name)))
            .ok()
    }

    /// What `serve` and `sandbox` have in common.
    fn facade(&mut self, apps: Vec<AppConfig>) -> Config {
        let default_app = self.default_name(&apps);
        let server = self.server();
        let surroundings = Surroundings {
            listen: server.listen,
            tls: match &server.tls {
                None => TlsKind::None,
                Some(tls) if tls.is_mutual() => TlsKind::Mutual,
                Some(_) => TlsKind::Server,
            },
            allow_anonymous: self.get(&settings::ALLOW_ANONYMOUS, values::switch),
            allow_plaintext: self.get(&settings::ALLOW_PLAINTEXT, values::switch),
            apps: apps
                .iter()
                .map(|app| Arc::clone(&app.upstream.app))
                .collect(),
            default_app: Arc::clone(&default_app),
        };
        let callers = self.file.callers.clone();
        let callers = surroundings.read(callers, &mut self.mistakes);
        let path = self.find(&settings::CONFIG, |path| Ok(path.to_owned()));
        Config {
            server,
            apps,
            default_app,
            callers,
            caller_file: path.map(|path| CallerFile::new(path, self.file.clone(), surroundings)),
            open_reflection: self.get(&settings::OPEN_REFLECTION, values::switch),
            max_request_bytes: self.get(&settings::MAX_REQUEST_BYTES, values::bytes),
            token_deletion: self.get(&settings::DELETE_USER_TOKEN_OP, values::token_deletion),
            error_codes: self.get(&settings::ERROR_CODES, values::error_codes),
            log: self.get(&settings::LOG, values::log),
            log_format: self.get(&settings::LOG_FORMAT, values::log_format),
            metrics_listen: None,
        }
    }

    fn finish<T>(self, config: T) -> Result<T, Mistakes> {
        if self.mistakes.is_empty() {
            Ok(config)
        } else {
            Err(Mistakes(self.mistakes))
        }
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

impl std::error::Error for Mistakes {}

#[cfg(test)]
mod tests;
