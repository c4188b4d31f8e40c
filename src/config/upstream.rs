//! The way to Mesibo, and the apps, in the settings.

use std::sync::Arc;

use mesibo::{Protocol, Proxy};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::{
    apps::{self, AppConfig, WorldApps},
    mistakes::Origin,
    reader::Reader,
    settings,
};

/// The header `user-agent` of requests to Mesibo.
const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

impl Reader<'_> {
    /// What the apps have in common on the way to Mesibo.
    pub(super) fn upstream(&mut self, url: Url) -> mesibo::Config {
        mesibo::Config {
            app: Arc::default(),
            user_agent: USER_AGENT.to_owned(),
            url,
            token: SecretString::default(),
            proxy: None,
            protocol: Protocol::Auto,
            ca_certificates: None,
            connect_timeout: self.get(&settings::UPSTREAM_CONNECT_TIMEOUT),
            idle_timeout: self.get(&settings::UPSTREAM_IDLE_TIMEOUT),
            connection_lifetime: self.get(&settings::UPSTREAM_CONNECTION_LIFETIME),
            max_in_flight: self.get(&settings::UPSTREAM_MAX_IN_FLIGHT),
            max_waiting: self.get(&settings::UPSTREAM_MAX_WAITING),
            max_wait: self.get(&settings::UPSTREAM_MAX_WAIT),
            max_reply_bytes: self.get(&settings::MAX_REPLY_BYTES),
            patience: self.get(&settings::DEFAULT_DEADLINE),
        }
    }

    /// The proxy on the way to Mesibo, with the password of its file.
    pub(super) fn proxy(&mut self) -> Option<Proxy> {
        let proxy = self.find(&settings::UPSTREAM_PROXY);
        let file = self.find(&settings::UPSTREAM_PROXY_PASSWORD_FILE);
        let own = proxy.as_ref().and_then(|Proxy(url)| url.password());
        let setting = &settings::UPSTREAM_PROXY;
        let password_file = settings::UPSTREAM_PROXY_PASSWORD_FILE.name();
        if own.is_some() && self.origin(setting) == Some(Origin::Flag) {
            let what = format!(
                "expected no password on the command line, which every user of the machine can \
                 read: it belongs into {password_file}, or the whole URL into {} or the settings \
                 file",
                setting.about().env()
            );
            self.wrong(setting, what, None);
        }
        let Some((password, path)) = file else {
            return proxy;
        };
        self.check_readers(password_file, &path);
        let has_user = proxy
            .as_ref()
            .is_some_and(|Proxy(url)| !url.username().is_empty());
        if own.is_some() || !has_user {
            let what = format!("expected a user without a password, for {password_file}");
            self.wrong(setting, what, None);
        }
        proxy.map(|Proxy(mut url)| {
            url.set_password(Some(password.expose_secret()))
                .expect("a URL with a host takes a password");
            Proxy(url)
        })
    }

    /// The apps that have tables, and the one whose token is outside of any table.
    pub(super) fn apps(&mut self, common: mesibo::Config) -> Vec<AppConfig> {
        let mut apps = AppConfig::read_all(&self.file, &common, &mut self.mistakes);
        let tables = self.file.apps();
        let (has_others, has_default) = (!tables.is_empty(), tables.contains_key(apps::DEFAULT));
        if let Some(app) = self.app_without_table(common, has_others) {
            if has_default {
                let what = format!(
                    "expected another name: {} is the app of {}",
                    apps::DEFAULT,
                    settings::APP_TOKEN.name()
                );
                self.mistakes.push("apps.default", what);
            }
            apps.push(app);
        }
        for app in &apps {
            if let Some(file) = &app.token_file {
                let name = format!("token of {}", app.upstream.app);
                self.check_readers(&name, file);
            }
        }
        apps
    }

    /// The apps of the sandbox that have tables, or else the default one, each with the
    /// world of its name.
    pub(super) fn sandbox_apps(&mut self, worlds: &WorldApps) -> Vec<AppConfig> {
        let tables = self.file.apps().keys();
        let mut names: Vec<_> = tables.map(String::as_str).collect();
        if names.is_empty() {
            names.push(apps::DEFAULT);
        }
        let mut apps = Vec::new();
        for name in names {
            match worlds.upstream(name) {
                Some(upstream) => apps.push(AppConfig {
                    upstream,
                    token_file: None,
                    rate: None,
                }),
                None => self.mistakes.push(
                    format_args!("apps.{name}"),
                    "expected the name of a world of the sandbox, which does not begin with token-",
                ),
            }
        }
        apps
    }

    /// The app whose token the settings have outside of any table, with the token from
    /// the environment or from a file. It may be missing if there are other apps.
    fn app_without_table(
        &mut self,
        common: mesibo::Config,
        may_be_missing: bool,
    ) -> Option<AppConfig> {
        let mistakes = self.mistakes.len();
        let token = self.find(&settings::APP_TOKEN);
        let file = self.find(&settings::APP_TOKEN_FILE);
        let both = token.is_some() && file.is_some();
        let neither = token.is_none() && file.is_none() && mistakes == self.mistakes.len();
        if neither && may_be_missing {
            return None;
        }
        if both || neither {
            let what = format!(
                "expected one of the environment variable {} and the setting {}",
                settings::APP_TOKEN.about().env(),
                settings::APP_TOKEN_FILE.name(),
            );
            self.mistakes.push(settings::APP_TOKEN.name(), what);
        }
        let (from_file, token_file) = file.unzip();
        Some(AppConfig {
            upstream: mesibo::Config {
                app: apps::DEFAULT.into(),
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
        let wanted = self.find(&settings::DEFAULT_APP);
        let is_wanted = |name: &&Arc<str>| match &wanted {
            Some(wanted) => ***name == **wanted,
            None => names.len() == 1 || &***name == apps::DEFAULT,
        };
        if let Some(name) = names.iter().find(is_wanted) {
            return Arc::clone(name);
        }
        let what = format!("expected one of the apps: {}", names.join(", "));
        self.wrong(&settings::DEFAULT_APP, what, wanted.as_deref());
        Arc::default()
    }
}
