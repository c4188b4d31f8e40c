//! The settings, read and checked.
//!
//! A setting comes from its flag, or else its environment variable, or else the
//! settings file, or else it has its default. All mistakes are reported together,
//! each under the name of its setting and without the value, which may be a secret.
//!
//! - [`settings`]: every setting, with its default
//! - `file`: the settings file
//! - `values`: how their values are read

mod file;
pub mod settings;
mod values;

use std::{
    collections::HashMap,
    fmt,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use secrecy::SecretString;
use tracing_subscriber::filter::Targets;
use url::Url;

use crate::{
    mesibo,
    server::{self, Deadlines, Limits},
    service::TokenDeletion,
    status::ErrorCodes,
};
use settings::Setting;

/// The application token that the sandbox takes. It guards nothing.
pub const SANDBOX_TOKEN: &str = "sandbox";

/// What `serve` and `sandbox` need to know.
#[derive(Debug)]
pub struct Config {
    /// How to serve.
    pub server: server::Config,
    /// How to reach Mesibo.
    pub upstream: mesibo::Config,
    /// Largest request message, in bytes.
    pub max_request_bytes: usize,
    /// What `DeleteUserToken` sends.
    pub token_deletion: TokenDeletion,
    /// What Mesibo's error codes mean.
    pub error_codes: ErrorCodes,
    /// What is logged.
    pub log: Targets,
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
    /// The service to ask for.
    pub service: String,
}

/// Settings that are wrong or missing, in one line.
#[derive(Debug, PartialEq, Eq)]
pub struct Mistakes(Vec<String>);

/// Looks settings up, and gathers the mistakes.
struct Reader<L> {
    lookup: L,
    file: HashMap<String, String>,
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
        let token = reader.token();
        let mut config = reader.facade(url, token);
        config.upstream.proxy = reader.find(&settings::UPSTREAM_PROXY, values::proxy);
        config.upstream.ca_certificates = reader.find(&settings::UPSTREAM_CA_FILE, values::ca_file);
        config.server.lame_duck = reader.get(&settings::LAME_DUCK, values::delay);
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
        let config = Self {
            facade: reader.facade(sandbox_url(emulator_listen), SANDBOX_TOKEN.into()),
            emulator_listen,
        };
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
            service: reader.get(&settings::SERVICE, |name| Ok(name.to_owned())),
        };
        reader.finish(config)
    }
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
            file: HashMap::new(),
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
        let value = (self.lookup)(setting).or_else(|| self.file.get(setting.name).cloned())?;
        parse(&value)
            .map_err(|mistake| self.mistakes.push(format!("{}: {mistake}", setting.name)))
            .ok()
    }

    /// The token, from the environment or from a file.
    fn token(&mut self) -> SecretString {
        let mistakes = self.mistakes.len();
        let token = self.find(&settings::APP_TOKEN, values::token);
        let file = self.find(&settings::APP_TOKEN_FILE, values::token_file);
        let both = token.is_some() && file.is_some();
        let neither = token.is_none() && file.is_none() && mistakes == self.mistakes.len();
        if both || neither {
            self.mistakes.push(format!(
                "{}: expected one of the environment variable {} and the setting {}",
                settings::APP_TOKEN.name,
                settings::APP_TOKEN.env,
                settings::APP_TOKEN_FILE.name,
            ));
        }
        token.or(file).unwrap_or_default()
    }

    /// What `serve` and `sandbox` have in common.
    fn facade(&mut self, url: Url, token: SecretString) -> Config {
        let deadlines = Deadlines {
            default: self.get(&settings::DEFAULT_DEADLINE, values::duration),
            longest: self.get(&settings::MAX_DEADLINE, values::duration),
        };
        if deadlines.default > deadlines.longest {
            self.mistakes.push(format!(
                "{}: expected at most {}",
                settings::DEFAULT_DEADLINE.name,
                settings::MAX_DEADLINE.name,
            ));
        }
        Config {
            server: server::Config {
                listen: self.get(&settings::LISTEN, values::address),
                deadlines,
                limits: self.limits(),
                lame_duck: Duration::ZERO,
                shutdown_grace: self.get(&settings::SHUTDOWN_GRACE, values::duration),
            },
            upstream: mesibo::Config {
                url,
                token,
                proxy: None,
                ca_certificates: None,
                connect_timeout: self.get(&settings::UPSTREAM_CONNECT_TIMEOUT, values::duration),
                idle_timeout: self.get(&settings::UPSTREAM_IDLE_TIMEOUT, values::duration),
                connection_lifetime: self
                    .get(&settings::UPSTREAM_CONNECTION_LIFETIME, values::duration),
                max_in_flight: self.get(&settings::UPSTREAM_MAX_IN_FLIGHT, values::number),
                max_waiting: self.get(&settings::UPSTREAM_MAX_WAITING, values::number),
                max_wait: self.get(&settings::UPSTREAM_MAX_WAIT, values::duration),
                max_reply_bytes: self.get(&settings::MAX_REPLY_BYTES, values::bytes),
            },
            max_request_bytes: self.get(&settings::MAX_REQUEST_BYTES, values::bytes),
            token_deletion: self.get(&settings::DELETE_USER_TOKEN_OP, values::token_deletion),
            error_codes: self.get(&settings::ERROR_CODES, values::error_codes),
            log: self.get(&settings::LOG, values::log),
            metrics_listen: self.find(&settings::METRICS_LISTEN, values::address),
        }
    }

    fn limits(&mut self) -> Limits {
        Limits {
            max_connections: self.get(&settings::MAX_CONNECTIONS, values::number),
            max_concurrent_streams: self.get(&settings::MAX_CONCURRENT_STREAMS, values::number),
            max_header_bytes: self.get(&settings::MAX_HEADER_BYTES, values::bytes),
            handshake_timeout: self.get(&settings::HANDSHAKE_TIMEOUT, values::duration),
            keepalive_time: self.get(&settings::KEEPALIVE_TIME, values::duration),
            keepalive_timeout: self.get(&settings::KEEPALIVE_TIMEOUT, values::duration),
            max_connection_idle: self.get(&settings::MAX_CONNECTION_IDLE, values::duration),
            max_connection_age: self.get(&settings::MAX_CONNECTION_AGE, values::duration),
            max_connection_age_grace: self
                .get(&settings::MAX_CONNECTION_AGE_GRACE, values::duration),
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
