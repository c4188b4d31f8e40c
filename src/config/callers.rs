//! The callers in the settings file, and what they must fit in with.

use std::{collections::HashSet, hash::Hash, net::SocketAddr, sync::Arc};

use toml::Table;

use super::{
    Mistakes,
    file::{self, CALLERS, File},
    section::Section,
    settings, values,
};
use crate::access::{Caller, Callers, caller::ANONYMOUS};

/// Who proves to the other who they are, by a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TlsKind {
    None,
    Server,
    Mutual,
}

/// What callers must fit in with.
#[derive(Clone, Debug)]
pub(super) struct Surroundings {
    pub(super) listen: SocketAddr,
    pub(super) tls: TlsKind,
    pub(super) allow_anonymous: bool,
    pub(super) allow_plaintext: bool,
    /// The names of the apps.
    pub(super) apps: Vec<Arc<str>>,
    /// The app of callers that name none.
    pub(super) default_app: Arc<str>,
}

/// The settings file, for its callers to be read again.
#[derive(Debug)]
pub struct CallerFile {
    path: String,
    /// What it was at the start.
    file: File,
    surroundings: Surroundings,
}

impl CallerFile {
    pub(super) fn new(path: String, file: File, surroundings: Surroundings) -> Self {
        Self {
            path,
            file,
            surroundings,
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Reads the callers again.
    ///
    /// # Errors
    ///
    /// If anything in the file is wrong, or there are no callers any more: then everyone
    /// might do everything, which nobody asks for by an empty file.
    pub fn read(&self, old: &Callers) -> Result<Vec<Caller>, Mistakes> {
        let file = file::read(&self.path)
            .map_err(|mistake| Mistakes(vec![format!("config: {mistake}")]))?;
        if !file.differs_in_callers_at_most(&self.file) {
            tracing::warn!("settings other than the callers hold from the next start on");
        }
        let mut mistakes = Vec::new();
        let callers = self.surroundings.read(file.callers, &mut mistakes);
        if callers.is_empty() && !old.is_empty() {
            mistakes.push(format!("{CALLERS}: expected at least one, as before"));
        }
        if mistakes.is_empty() {
            Ok(callers)
        } else {
            Err(Mistakes(mistakes))
        }
    }
}

impl Surroundings {
    /// Reads the callers, and gathers what is wrong with them.
    pub(super) fn read(&self, callers: Table, mistakes: &mut Vec<String>) -> Vec<Caller> {
        let callers: Vec<_> = callers
            .into_iter()
            .filter_map(|(name, value)| {
                let section = Section::new(CALLERS, &name, value, mistakes)?;
                Some(self.caller(&name, section))
            })
            .collect();
        let keys = callers.iter().flat_map(|caller| &caller.keys);
        if has_duplicates(keys) {
            mistakes.push(format!("{CALLERS}: expected every key once"));
        }
        let certificates = callers.iter().flat_map(|caller| &caller.certificates);
        if has_duplicates(certificates) {
            mistakes.push(format!("{CALLERS}: expected every certificate once"));
        }
        mistakes.extend(self.dangers(&callers));
        callers
    }

    fn caller(&self, name: &str, mut section: Section) -> Caller {
        if !section.has("keys") && !section.has("certificates") {
            section.wrong("expected keys or certificates, to know it by");
        }
        if !section.has("may-call") {
            section.wrong("expected may-call, such as [\"mesibo.v1.MessageService/*\"]");
        }
        let may_call = section.list("may-call", values::rpcs);
        let apps = section.list("apps", |app| self.app(app));
        let caller = Caller {
            name: name.into(),
            keys: section.list("keys", values::key_hash).unwrap_or_default(),
            certificates: section
                .list("certificates", values::certificate_name)
                .unwrap_or_default(),
            may_call: Some(may_call.iter().flatten().flatten().copied().collect()),
            apps: Some(match apps {
                Some(apps) => apps.into_iter().collect(),
                None => [Arc::clone(&self.default_app)].into(),
            }),
            from_addresses: section.list("from-addresses", values::pattern),
            app_ids: section
                .list("app-ids", |app_id| Ok(app_id.to_owned()))
                .map(|app_ids| app_ids.into_iter().collect()),
            rate: values::rate_of(&mut section).map(Arc::new),
        };
        if name == ANONYMOUS {
            section.wrong("expected another name: this is what whoever calls is called");
        }
        if !caller.certificates.is_empty() && self.tls != TlsKind::Mutual {
            section.wrong(format!(
                "expected {}, without which no client shows a certificate",
                settings::TLS_CLIENT_CA_FILE.name
            ));
        }
        section.finish(&[
            "keys",
            "certificates",
            "may-call",
            "apps",
            "from-addresses",
            "app-ids",
            "rate",
            "burst",
        ]);
        caller
    }

    fn app(&self, name: &str) -> Result<Arc<str>, String> {
        let app = self.apps.iter().find(|app| &***app == name);
        app.cloned()
            .ok_or_else(|| format!("expected some of the apps: {}", self.apps.join(", ")))
    }

    /// What would put the apps or the keys in danger.
    fn dangers(&self, callers: &[Caller]) -> Vec<String> {
        let is_exposed = !self.listen.ip().to_canonical().is_loopback();
        let has_keys = callers.iter().any(|caller| !caller.keys.is_empty());
        let mut dangers = Vec::new();
        if is_exposed && callers.is_empty() && !self.allow_anonymous {
            dangers.push(format!(
                "{}: expected a loopback address, for everyone who reaches another may use \
                 the application's token; define callers in the settings file (mesibo-grpc \
                 key NAME makes one), or set {}",
                settings::LISTEN.name,
                settings::ALLOW_ANONYMOUS.name
            ));
        }
        if is_exposed && has_keys && self.tls == TlsKind::None && !self.allow_plaintext {
            dangers.push(format!(
                "{}: expected a loopback address, for on the way to another everyone can \
                 read the callers' keys; set {} and {}, or, if something in front does the \
                 TLS, {}",
                settings::LISTEN.name,
                settings::TLS_CERTIFICATE_FILE.name,
                settings::TLS_KEY_FILE.name,
                settings::ALLOW_PLAINTEXT.name
            ));
        }
        if self.allow_anonymous && !callers.is_empty() {
            dangers.push(format!(
                "{}: expected no callers, or this not to be set: with callers nobody is \
                 anonymous",
                settings::ALLOW_ANONYMOUS.name
            ));
        }
        dangers
    }
}

fn has_duplicates<T: Eq + Hash>(mut items: impl Iterator<Item = T>) -> bool {
    let mut seen = HashSet::new();
    !items.all(|item| seen.insert(item))
}
