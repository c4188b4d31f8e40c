//! The running server that a client asks, and who asks, in the settings.

use std::time::Duration;

use mesibo::is_loopback;
use secrecy::SecretString;
use url::Url;

use super::{
    in_file, looked_up,
    mistakes::{Given, Mistakes},
    reader::Reader,
    settings::{self, About},
};
use crate::{files::Content, store};

/// A running server, and how its client and it know each other.
#[derive(Debug)]
pub struct ServerAddress {
    /// The URL, without a path.
    pub url: Url,
    /// Certificate authorities, in PEM, to trust besides the system's.
    pub ca_certificates: Option<Vec<u8>>,
    /// The client's certificate and its chain, and their key, for mutual TLS.
    pub identity: Option<Identity>,
}

/// The certificate that a client shows.
#[derive(derive_more::Debug)]
pub struct Identity {
    /// The certificate and its chain, in PEM.
    pub certificates: Vec<u8>,
    /// The private key, in PEM.
    #[debug(skip)]
    pub key: Content,
}

/// The settings of `health`.
#[derive(Debug)]
pub struct HealthConfig {
    /// The server to ask.
    pub server: ServerAddress,
    /// The full name of the service to ask for; empty for the server as a whole.
    pub service: String,
}

/// What the commands that call RPCs have in common.
#[derive(Debug)]
pub struct ClientConfig {
    /// The server to call.
    pub server: ServerAddress,
    /// The caller's key, if it shows one.
    pub key: Option<SecretString>,
    /// The app to call for, if not the server's default.
    pub app: Option<String>,
    /// Longest time to the answer of a call.
    pub deadline: Duration,
    /// What is allowed but dangerous, each a line for people.
    pub warnings: Vec<String>,
}

/// The settings of `import users --existing`.
#[derive(Debug)]
pub struct ExistingConfig {
    /// The server that asks Mesibo, if it is to be asked, and the app.
    pub client: ClientConfig,
    /// The store whose directory the users go into.
    pub store: store::Config,
}

impl HealthConfig {
    /// Reads the settings of `health`, as [`Config::read`](super::Config::read) those of
    /// `serve`.
    ///
    /// # Errors
    ///
    /// If any setting is wrong.
    pub fn read<G: Into<Given>>(
        lookup: impl Fn(&'static About) -> Option<G>,
    ) -> Result<Self, Mistakes> {
        let lookup = |about| lookup(about).map(Into::into);
        let mut reader = Reader::new(&lookup);
        let config = Self {
            server: reader.server_address(),
            service: reader.get(&settings::SERVICE),
        };
        reader.finish(config)
    }

    /// The settings that [`Self::read`] looks up.
    #[must_use]
    pub fn settings() -> Vec<&'static About> {
        looked_up(|lookup| Self::read(lookup).map(drop))
    }
}

impl ClientConfig {
    /// Reads the settings of a command that calls RPCs, as
    /// [`Config::read`](super::Config::read) those of `serve`.
    ///
    /// # Errors
    ///
    /// If any setting is wrong.
    pub fn read<G: Into<Given>>(
        lookup: impl Fn(&'static About) -> Option<G>,
    ) -> Result<Self, Mistakes> {
        let lookup = |about| lookup(about).map(Into::into);
        let mut reader = Reader::with_file(&lookup, in_client_file);
        let config = reader.client();
        reader.finish(config)
    }

    /// The settings that [`Self::read`] looks up.
    #[must_use]
    pub fn settings() -> Vec<&'static About> {
        looked_up(|lookup| Self::read(lookup).map(drop))
    }
}

impl ExistingConfig {
    /// Reads the settings of `import users --existing`, as
    /// [`Config::read`](super::Config::read) those of `serve`.
    ///
    /// # Errors
    ///
    /// If any setting is wrong.
    pub fn read<G: Into<Given>>(
        lookup: impl Fn(&'static About) -> Option<G>,
    ) -> Result<Self, Mistakes> {
        let lookup = |about| lookup(about).map(Into::into);
        let mut reader = Reader::with_file(&lookup, in_client_file);
        // The warnings of both are the client's.
        let store = reader.store();
        let client = reader.client();
        let config = Self { client, store };
        reader.finish(config)
    }

    /// The settings that [`Self::read`] looks up.
    #[must_use]
    pub fn settings() -> Vec<&'static About> {
        looked_up(|lookup| Self::read(lookup).map(drop))
    }
}

/// The settings that the settings file of a client may have. Those of a server are no
/// mistake: both run in one image, with one environment, which may name one file.
fn in_client_file() -> Vec<&'static About> {
    let mut settings = in_file();
    settings.extend(ClientConfig::settings());
    settings
}

impl Reader<'_> {
    /// The server that a client asks.
    pub(super) fn server_address(&mut self) -> ServerAddress {
        let url = self.get(&settings::ADDRESS);
        let ca_certificates = self.find(&settings::CA_FILE);
        let certificates = self.find(&settings::CERTIFICATE_FILE);
        let key = self.find(&settings::CERTIFICATE_KEY_FILE);
        let given = [
            (
                &settings::CERTIFICATE_FILE.about(),
                self.origin(&settings::CERTIFICATE_FILE),
            ),
            (
                &settings::CERTIFICATE_KEY_FILE.about(),
                self.origin(&settings::CERTIFICATE_KEY_FILE),
            ),
        ];
        if let [(has, Some(_)), (lacks, None)] | [(lacks, None), (has, Some(_))] = given {
            let what = format_args!("expected together with {}", lacks.name);
            self.mistakes.push(has.name, what);
        }
        ServerAddress {
            url,
            ca_certificates,
            identity: certificates
                .zip(key)
                .map(|(certificates, key)| Identity { certificates, key }),
        }
    }

    /// What the commands that call RPCs have in common.
    pub(super) fn client(&mut self) -> ClientConfig {
        let server = self.server_address();
        let key = self.find(&settings::KEY);
        let file = self.find(&settings::KEY_FILE);
        if key.is_some() && file.is_some() {
            let what = format!(
                "expected one of the environment variable {} and the setting {}",
                settings::KEY.about().env(),
                settings::KEY_FILE.name(),
            );
            self.mistakes.push(settings::KEY.name(), what);
        }
        if let Some((_, path)) = &file {
            self.check_readers(settings::KEY_FILE.name(), path);
        }
        let key = key.or(file.map(|(key, _)| key));
        if key.is_some() && server.url.scheme() == "http" && !is_loopback(&server.url) {
            self.warnings.push(format!(
                "{}: whoever is on the way to {} can read the caller's key; https hides it",
                settings::ADDRESS.name(),
                server.url
            ));
        }
        ClientConfig {
            server,
            key,
            app: self.find(&settings::APP),
            deadline: self.get(&settings::DEADLINE),
            warnings: std::mem::take(&mut self.warnings),
        }
    }
}
