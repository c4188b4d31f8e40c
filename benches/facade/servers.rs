//! What is measured side by side.

use tempfile::NamedTempFile;

use crate::process::{PROGRAM, Server, settings};

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
        let backend = Server::of_role(&["backend"]);
        let url = backend.url();
        let settings = settings(callers, more);
        Self {
            all: [
                Server::of_role(&["bare"]),
                Server::of_role(&["plain", &url]),
                Server::facade(PROGRAM, &url, &settings),
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
