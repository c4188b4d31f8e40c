//! The store in the settings.

use mesibo::Client;

use super::{reader::Reader, settings};
use crate::{
    server::Deadlines,
    store::{Config, Location},
};

impl Reader<'_> {
    /// The store of calls that have these deadlines.
    pub(super) fn store_for(&mut self, deadlines: Deadlines) -> Config {
        let mut config = self.store();
        config.retention = self.get(&settings::REQUEST_ID_RETENTION);
        config.ids_per_caller = self.get(&settings::REQUEST_IDS_PER_CALLER);
        config.directory = self.get(&settings::DIRECTORY);
        config.lookup_interval = self.get(&settings::DIRECTORY_LOOKUP_INTERVAL);
        config.max_connections = self.get(&settings::STORE_MAX_CONNECTIONS);
        let longest = deadlines.longest + Client::MAX_DETACHED + config.timeout;
        if config.retention <= longest {
            let what = format!(
                "expected more than {longest:?}, the longest time that a call can take: {}, the \
                 {:?} that a call goes on beyond it, and {}",
                settings::MAX_DEADLINE.name(),
                Client::MAX_DETACHED,
                settings::STORE_TIMEOUT.name()
            );
            let shown = format!("{:?}", config.retention);
            self.wrong(&settings::REQUEST_ID_RETENTION, what, Some(&shown));
        }
        config
    }

    /// The store, as far as its schema is concerned.
    pub(super) fn store(&mut self) -> Config {
        let location = self.get(&settings::STORE);
        let password = self.find(&settings::STORE_PASSWORD_FILE);
        let ca_file = self.find(&settings::STORE_CA_FILE);
        let allow_plaintext = self.get(&settings::STORE_ALLOW_PLAINTEXT);
        let needs_postgres = [
            (settings::STORE_PASSWORD_FILE.name(), password.is_some()),
            (settings::STORE_CA_FILE.name(), ca_file.is_some()),
        ];
        if !matches!(location, Location::Postgres(_)) {
            for (name, is_set) in needs_postgres {
                if is_set {
                    let what = format!(
                        "expected only with {} postgres://USER@HOST/DATABASE",
                        settings::STORE.name()
                    );
                    self.mistakes.push(name, what);
                }
            }
        }
        if let Some((_, path)) = &password {
            self.check_readers(settings::STORE_PASSWORD_FILE.name(), path);
        }
        if allow_plaintext && ca_file.is_none() && location.is_remote() {
            self.warnings.push(format!(
                "{}: whoever is on the way to PostgreSQL can read and change what is remembered",
                settings::STORE_ALLOW_PLAINTEXT.name()
            ));
        }
        Config {
            password: password.map(|(password, _)| password),
            timeout: self.get(&settings::STORE_TIMEOUT),
            ca_file,
            allow_plaintext,
            ..Config::new(location)
        }
    }
}
