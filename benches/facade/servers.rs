//! What is measured side by side.

use tempfile::NamedTempFile;

use crate::{
    identity::Identity,
    process::{PROGRAM, Server, settings},
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
    /// Starts them, with TLS on both sides if there is an identity. The facade knows so many
    /// callers, and has these settings besides.
    pub fn start(callers: usize, more: &str, identity: Option<&Identity>) -> Self {
        let backend = of_role(&["backend", "messages"], identity);
        let (facade, settings) = facade(&backend, callers, more, identity);
        Self {
            all: [
                of_role(&["bare"], identity),
                of_role(&["plain", &backend.url()], identity),
                facade,
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

/// A process of this program, with TLS if there is an identity.
pub fn of_role(role: &[&str], identity: Option<&Identity>) -> Server {
    let tls = identity.map(Identity::arguments);
    let tls = tls.as_ref().map_or(&[][..], |tls| tls);
    let server = Server::of_role(&[role, tls].concat());
    server.certified_by(identity.map(Identity::certificate))
}

/// The facade in front of a backend, with so many callers and more settings, and with TLS on
/// both sides if there is an identity. Its settings live as long as their file.
pub fn facade(
    backend: &Server,
    callers: usize,
    more: &str,
    identity: Option<&Identity>,
) -> (Server, NamedTempFile) {
    facade_by(PROGRAM, backend, callers, more, identity)
}

/// The same, which another program serves.
pub fn facade_by(
    program: &str,
    backend: &Server,
    callers: usize,
    more: &str,
    identity: Option<&Identity>,
) -> (Server, NamedTempFile) {
    let tls = identity.map(Identity::settings).unwrap_or_default();
    let settings = settings(callers, &format!("{tls}{more}"));
    let facade = Server::facade(program, &backend.url(), &settings);
    (
        facade.certified_by(identity.map(Identity::certificate)),
        settings,
    )
}
