//! The callers in the settings file, and what they must fit in with.

use std::{collections::HashSet, hash::Hash, net::SocketAddr, num::NonZeroUsize, sync::Arc};

use super::{
    file::{CALLERS, File, Fingerprint},
    mistakes::Mistakes,
    section::Section,
    settings::{self, About},
    values::{callers as values, is_exposed, number, switch},
};
use crate::access::{Caller, Callers, caller::ANONYMOUS};

/// Who proves their identity by a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TlsKind {
    /// Nobody: the port is plaintext.
    None,
    /// The server.
    Server,
    /// The server and its clients.
    Mutual,
}

/// The settings that callers must fit in with.
#[derive(Clone, Debug)]
pub(super) struct Surroundings {
    pub(super) listen: SocketAddr,
    pub(super) tls: TlsKind,
    pub(super) allow_anonymous: bool,
    pub(super) allow_plaintext: bool,
    /// The names of the apps.
    pub(super) apps: Vec<Arc<str>>,
    /// The app of callers whose tables name none.
    pub(super) default_app: Arc<str>,
    /// What strangers must not use: the application's token, or the sandbox.
    pub(super) resource: &'static str,
}

/// The settings file, whose callers are read again when it changes.
#[derive(Debug)]
pub struct CallerFile {
    path: String,
    /// What the file held at the start, but for the callers. The content itself is not
    /// kept: it may hold the password of a proxy.
    rest: Fingerprint,
    /// The settings that the file may have.
    known: fn() -> Vec<&'static About>,
    surroundings: Surroundings,
}

impl CallerFile {
    /// A file that was read, if one was.
    pub(super) fn new(
        file: &File,
        known: fn() -> Vec<&'static About>,
        surroundings: Surroundings,
    ) -> Option<Self> {
        (!file.path().is_empty()).then(|| Self {
            path: file.path().to_owned(),
            rest: file.fingerprint(),
            known,
            surroundings,
        })
    }

    /// The path of the file.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Reads the callers from what the file holds now.
    ///
    /// # Errors
    ///
    /// If anything in the file is wrong, or the last caller is gone: without callers every
    /// client might do everything, and an empty file does not ask for that.
    pub fn read(&self, content: &[u8], old: &Callers) -> Result<Vec<Caller>, Mistakes> {
        let mut mistakes = Mistakes::default();
        let known = (self.known)();
        let Some(file) = File::parse(content, &self.path, &known, &mut mistakes) else {
            return Err(mistakes);
        };
        if file.fingerprint() != self.rest {
            tracing::warn!("settings other than the callers hold from the next start on");
        }
        let callers = self.surroundings.read(&file, &mut mistakes);
        if callers.is_empty() && !old.is_empty() {
            mistakes.push(CALLERS, "expected at least one, as before");
        }
        mistakes.or(callers)
    }
}

impl Surroundings {
    /// Reads the callers, and gathers what is wrong with them.
    pub(super) fn read(&self, file: &File, mistakes: &mut Mistakes) -> Vec<Caller> {
        let callers = file.callers().iter().filter_map(|(name, node)| {
            let section = Section::new(CALLERS, name, node, file.path(), mistakes)?;
            Some(self.caller(name, section))
        });
        let callers: Vec<_> = callers.collect();
        let keys = callers.iter().flat_map(|caller| &caller.keys);
        if has_duplicates(keys.map(|key| key.hash)) {
            mistakes.push(CALLERS, "expected every key once");
        }
        let certificates = callers.iter().flat_map(|caller| &caller.certificates);
        if has_duplicates(certificates) {
            mistakes.push(CALLERS, "expected every certificate once");
        }
        self.check_exposure(&callers, mistakes);
        callers
    }

    /// Warnings of what these settings allow with these callers.
    pub(super) fn warnings(&self, callers: &[Caller]) -> Vec<String> {
        let listen = self.listen;
        let mut warnings = Vec::new();
        if !is_exposed(listen) {
            return warnings;
        }
        if self.allow_anonymous && callers.is_empty() {
            warnings.push(format!(
                "{}: every client that reaches {listen} may use {}, without a key",
                settings::ALLOW_ANONYMOUS.name(),
                self.resource
            ));
        }
        if self.allow_plaintext && has_keys(callers) && self.tls == TlsKind::None {
            warnings.push(format!(
                "{}: keys of callers come to {listen} in plaintext, unless a proxy in front \
                 terminates TLS",
                settings::ALLOW_PLAINTEXT.name()
            ));
        }
        warnings
    }

    fn caller(&self, name: &str, mut section: Section) -> Caller {
        if !section.has("keys") && !section.has("certificates") {
            section.wrong("expected keys or certificates, to know it by");
        }
        if !section.has("may-call") {
            section.wrong("expected may-call, such as [\"mesibo.v1.MessageService/*\"]");
        }
        let keys = section.list_of_secrets("keys", values::key);
        let certificates = section.list("certificates", values::certificate_name);
        let may_call = section.list("may-call", values::rpcs);
        let apps = section.list("apps", |app| self.app(app));
        let caller = Caller {
            name: name.into(),
            keys: keys.unwrap_or_default(),
            certificates: certificates.unwrap_or_default(),
            may_call: Some(may_call.iter().flatten().flatten().copied().collect()),
            apps: Some(match apps {
                Some(apps) => apps.into_iter().collect(),
                None => [Arc::clone(&self.default_app)].into(),
            }),
            from_addresses: section.list("from-addresses", values::pattern),
            app_ids: section
                .list("app-ids", |app_id| Ok(app_id.to_owned()))
                .map(|app_ids| app_ids.into_iter().collect()),
            read_tokens: section.find("read-tokens", switch).unwrap_or_default(),
            max_in_flight: section
                .find("max-in-flight", number)
                .and_then(NonZeroUsize::new),
            rate: section.rate().map(Arc::new),
        };
        if name == ANONYMOUS {
            section.wrong("expected another name: every client has this one without callers");
        }
        if !caller.certificates.is_empty() && self.tls != TlsKind::Mutual {
            section.wrong(format!(
                "expected {}, without which no client shows a certificate",
                settings::TLS_CLIENT_CA_FILE.name()
            ));
        }
        section.finish();
        caller
    }

    fn app(&self, name: &str) -> Result<Arc<str>, String> {
        let app = self.apps.iter().find(|app| &***app == name);
        app.cloned()
            .ok_or_else(|| format!("expected some of the apps: {}", self.apps.join(", ")))
    }

    /// Checks that no stranger can use the apps, and that no key can be read on the way.
    fn check_exposure(&self, callers: &[Caller], mistakes: &mut Mistakes) {
        let is_exposed = is_exposed(self.listen);
        if is_exposed && callers.is_empty() && !self.allow_anonymous {
            let what = format!(
                "expected a loopback address, for everyone who reaches {} may use {}; define \
                 callers in the settings file (mesibo-grpc key NAME makes one), or set {}",
                self.listen,
                self.resource,
                settings::ALLOW_ANONYMOUS.name()
            );
            mistakes.push(settings::LISTEN.name(), what);
        }
        if is_exposed && has_keys(callers) && self.tls == TlsKind::None && !self.allow_plaintext {
            let what = format!(
                "expected a loopback address, for on the way to {} everyone can read the \
                 callers' keys; set {} and {}, or, if something in front does the TLS, {}",
                self.listen,
                settings::TLS_CERTIFICATE_FILE.name(),
                settings::TLS_KEY_FILE.name(),
                settings::ALLOW_PLAINTEXT.name()
            );
            mistakes.push(settings::LISTEN.name(), what);
        }
        if self.allow_anonymous && !callers.is_empty() {
            let what = "expected no callers, or this not to be set: with callers nobody is \
                        anonymous";
            mistakes.push(settings::ALLOW_ANONYMOUS.name(), what);
        }
    }
}

fn has_keys(callers: &[Caller]) -> bool {
    callers.iter().any(|caller| !caller.keys.is_empty())
}

fn has_duplicates<T: Eq + Hash>(mut items: impl Iterator<Item = T>) -> bool {
    let mut seen = HashSet::new();
    !items.all(|item| seen.insert(item))
}
