//! The apps in the settings, each with the way to its part of Mesibo.

use std::{
    env,
    path::{Path, PathBuf},
    sync::Arc,
};

use secrecy::SecretString;
use toml::Table;
use url::Url;
use zeroize::Zeroizing;

use super::{
    Reader,
    file::APPS,
    section::Section,
    settings::{self, Setting},
    values,
};
use crate::call::Rate;

/// The header `user-agent` of requests to Mesibo.
const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// The app whose token the settings have by itself, outside of any table.
pub(super) const DEFAULT: &str = "default";

/// One app.
#[derive(Debug)]
pub struct AppConfig {
    /// How to reach Mesibo. It has the app's name.
    pub upstream: mesibo::Config,
    /// The file that the token is from, to be read again when it changes.
    pub token_file: Option<PathBuf>,
    /// How many calls a second it takes.
    pub rate: Option<Rate>,
}

impl AppConfig {
    /// Reads the token again.
    ///
    /// # Errors
    ///
    /// If the file does not hold one.
    pub fn read_token(file: &Path) -> Result<SecretString, String> {
        values::token_file(file)
    }

    /// Reads the apps that have tables. What an app leaves out is as `common` has it.
    pub(super) fn read_all(
        apps: Table,
        common: &mesibo::Config,
        mistakes: &mut Vec<String>,
    ) -> Vec<Self> {
        apps.into_iter()
            .filter_map(|(name, value)| {
                let section = Section::new(APPS, &name, value, mistakes)?;
                Some(Self::read(&name, section, common))
            })
            .collect()
    }

    fn read(name: &str, mut section: Section, common: &mesibo::Config) -> Self {
        let mut upstream = mesibo::Config {
            app: name.into(),
            ..common.clone()
        };
        if section.has("token-file") == section.has("token-env") {
            section.wrong("expected one of token-file and token-env");
        }
        let file = section.find("token-file", |file| {
            Ok((values::token_file(file.as_ref())?, PathBuf::from(file)))
        });
        let variable = section.find("token-env", |variable| {
            let token = env::var(variable).map(Zeroizing::new);
            values::token(&token.map_err(|_| "expected an environment variable that is set")?)
        });
        let (token, token_file) = file.unzip();
        upstream.token = token.or(variable).unwrap_or_default();
        section.set(
            &mut upstream.url,
            &settings::UPSTREAM_URL,
            values::upstream_url,
        );
        section.set(
            &mut upstream.max_in_flight,
            &settings::UPSTREAM_MAX_IN_FLIGHT,
            values::number,
        );
        section.set(
            &mut upstream.max_waiting,
            &settings::UPSTREAM_MAX_WAITING,
            values::number,
        );
        section.set(
            &mut upstream.max_wait,
            &settings::UPSTREAM_MAX_WAIT,
            values::duration,
        );
        let rate = values::rate_of(&mut section);
        section.finish(&[
            "token-file",
            "token-env",
            settings::UPSTREAM_URL.name,
            settings::UPSTREAM_MAX_IN_FLIGHT.name,
            settings::UPSTREAM_MAX_WAITING.name,
            settings::UPSTREAM_MAX_WAIT.name,
            "rate",
            "burst",
        ]);
        Self {
            upstream,
            token_file,
            rate,
        }
    }
}

impl<L: Fn(&Setting) -> Option<String>> Reader<L> {
    /// The app whose token the settings have outside of any table, with the token from
    /// the environment or from a file. It may be missing if there are other apps.
    pub(super) fn default_app(
        &mut self,
        common: mesibo::Config,
        may_be_missing: bool,
    ) -> Option<AppConfig> {
        let mistakes = self.mistakes.len();
        let token = self.find(&settings::APP_TOKEN, values::token);
        let file = self.find(&settings::APP_TOKEN_FILE, |file| {
            Ok((values::token_file(file.as_ref())?, PathBuf::from(file)))
        });
        let both = token.is_some() && file.is_some();
        let neither = token.is_none() && file.is_none() && mistakes == self.mistakes.len();
        if neither && may_be_missing {
            return None;
        }
        if both || neither {
            self.mistakes.push(format!(
                "{}: expected one of the environment variable {} and the setting {}",
                settings::APP_TOKEN.name,
                settings::APP_TOKEN.env,
                settings::APP_TOKEN_FILE.name,
            ));
        }
        let (from_file, token_file) = file.unzip();
        Some(AppConfig {
            upstream: mesibo::Config {
                app: DEFAULT.into(),
                token: token.or(from_file).unwrap_or_default(),
                ..common
            },
            token_file,
            rate: None,
        })
    }

    /// The name of the app of calls that name none.
    pub(super) fn default_name(&mut self, apps: &[AppConfig]) -> Arc<str> {
        let names: Vec<_> = apps
            .iter()
            .map(|app| Arc::clone(&app.upstream.app))
            .collect();
        let wanted = self.find(&settings::DEFAULT_APP, |name| Ok(name.to_owned()));
        let is_wanted = |name: &&Arc<str>| match &wanted {
            Some(wanted) => ***name == **wanted,
            None => names.len() == 1 || &***name == DEFAULT,
        };
        if let Some(name) = names.iter().find(is_wanted) {
            return Arc::clone(name);
        }
        self.mistakes.push(format!(
            "{}: expected one of the apps: {}",
            settings::DEFAULT_APP.name,
            names.join(", ")
        ));
        Arc::default()
    }

    /// What the apps have in common on the way to Mesibo.
    pub(super) fn upstream(&mut self, url: Url) -> mesibo::Config {
        mesibo::Config {
            app: Arc::default(),
            user_agent: USER_AGENT.to_owned(),
            url,
            token: SecretString::default(),
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
            patience: self.get(&settings::DEFAULT_DEADLINE, values::duration),
        }
    }
}
