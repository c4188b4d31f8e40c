//! What is measured side by side.

use tempfile::NamedTempFile;

use crate::{
    process::{PROGRAM, Server, settings},
    tls::Identity,
};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No upstream.
    Bare,
    /// The shortest honest facade.
    Plain,
    /// The facade, with its production defaults, and callers.
    Facade,
}

impl Kind {
    /// All of them, in their order.
    pub const ALL: [Self; 3] = [Self::Bare, Self::Plain, Self::Facade];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Plain => "plain",
            Self::Facade => "facade",
        }
    }
}

/// One of each, in front of one backend.
pub struct Servers {
    all: [Server; 3],
    _backend: Server,
    _settings: NamedTempFile,
}

impl Servers {
    /// Starts them. The facade knows so many callers, and has these settings besides.
    pub fn start(callers: usize, more: &str) -> Self {
        Self::start_by(callers, more, None)
    }

    /// Starts them with TLS, and a backend that has it as well.
    pub fn start_with_tls(identity: &Identity) -> Self {
        Self::start_by(1, &identity.settings(), Some(identity))
    }

    fn start_by(callers: usize, more: &str, identity: Option<&Identity>) -> Self {
        let tls = identity.map(Identity::arguments);
        let role = |name: &[&str]| {
            let tls = tls.as_ref().map_or(&[][..], |tls| tls);
            let server = Server::of_role(&[name, tls].concat());
            server.certified_by(identity.map(Identity::certificate))
        };
        let backend = role(&["backend", "messages"]);
        let url = backend.url();
        let settings = settings(callers, more);
        let facade = Server::facade(PROGRAM, &url, &settings);
        Self {
            all: [
                role(&["bare"]),
                role(&["plain", &url]),
                facade.certified_by(identity.map(Identity::certificate)),
            ],
            _backend: backend,
            _settings: settings,
        }
    }

    /// The server of a kind.
    pub fn of(&self, kind: Kind) -> &Server {
        &self.all[kind as usize]
    }
}
