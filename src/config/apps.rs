//! The apps in the settings file, each with the way to its part of Mesibo.

use std::{env, path::PathBuf};

use mesibo_sandbox::Tokens;
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::{
    file::{APPS, File},
    mistakes::Mistakes,
    section::Section,
    settings,
    values::{self, files},
};
use crate::call::Rate;

/// The app whose token the settings have outside of any table.
pub(super) const DEFAULT: &str = "default";

/// One app.
#[derive(Debug)]
pub struct AppConfig {
    /// The way to Mesibo, with the app's name and token.
    pub upstream: mesibo::Config,
    /// The file that the token is from, to be read again when it changes.
    pub token_file: Option<PathBuf>,
    /// The calls a second that the app takes, from all callers together.
    pub rate: Option<Rate>,
}

/// The apps of the sandbox that no setting names: every world has one, of its own name.
#[derive(Debug)]
pub struct WorldApps {
    /// The way to the emulator, without a name and a token.
    pub upstream: mesibo::Config,
    /// The tokens that the emulator takes.
    pub tokens: Tokens,
}

impl WorldApps {
    /// The way to a world. `None` if it cannot have this name.
    #[must_use]
    pub fn upstream(&self, world: &str) -> Option<mesibo::Config> {
        let token = self.tokens.of_world(world)?;
        Some(mesibo::Config {
            app: world.into(),
            token: token.into(),
            ..self.upstream.clone()
        })
    }
}

impl AppConfig {
    /// Reads the token that its file holds now.
    ///
    /// # Errors
    ///
    /// If it does not hold one token.
    pub fn read_token(content: &[u8]) -> Result<SecretString, String> {
        files::token(content)
    }

    /// Reads the apps that have tables. What a table leaves out is as `common` has it.
    pub(super) fn read_all(
        file: &File,
        common: &mesibo::Config,
        mistakes: &mut Mistakes,
    ) -> Vec<Self> {
        let apps = file.apps().iter().filter_map(|(name, node)| {
            let section = Section::new(APPS, name, node, file.path(), mistakes)?;
            Some(Self::read(name, section, common))
        });
        apps.collect()
    }

    fn read(name: &str, mut section: Section, common: &mesibo::Config) -> Self {
        let mut upstream = mesibo::Config {
            app: name.into(),
            ..common.clone()
        };
        if section.has("token-file") == section.has("token-env") {
            section.wrong("expected one of token-file and token-env");
        }
        let file = section.find("token-file", files::token_with_path);
        let variable = section.find_secret("token-env", |variable| {
            let token = env::var(variable).map(Zeroizing::new);
            values::token(&token.map_err(|_| "expected an environment variable that is set")?)
        });
        let (token, token_file) = file.unzip();
        upstream.token = token.or(variable).unwrap_or_default();
        section.set(&mut upstream.url, &settings::UPSTREAM_URL);
        section.set(
            &mut upstream.max_in_flight,
            &settings::UPSTREAM_MAX_IN_FLIGHT,
        );
        section.set(&mut upstream.max_waiting, &settings::UPSTREAM_MAX_WAITING);
        section.set(&mut upstream.max_wait, &settings::UPSTREAM_MAX_WAIT);
        let rate = section.rate();
        section.finish();
        Self {
            upstream,
            token_file,
            rate,
        }
    }
}
