//! Worlds: one for each application token, none of which sees another.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::backend::{Backend, TokenMint};
use crate::clock::{Clock, Moment};
use crate::requests::RequestLog;
use crate::settings::{DEFAULT_WORLD, Limits, Tokens};
use crate::wire::{Code, Outcome, Params, Refusal, Reply};

/// The worlds, by name. The default one is always there.
pub(crate) struct Worlds {
    tokens: Tokens,
    limits: Limits,
    by_name: BTreeMap<String, World>,
    /// Counts every world that is made or deleted.
    pub(crate) revision: u64,
    /// Prefix of local tokens, which open an existing world until the process ends. The
    /// page uses them, so that no configured token has to be shown.
    local: String,
}

/// A backend with a clock of its own and a log of the requests for it.
pub(crate) struct World {
    pub(crate) backend: Backend,
    pub(crate) clock: Clock,
    pub(crate) requests: RequestLog,
    pub(crate) revisions: Revisions,
    /// When a request last came, by the clock of the machine.
    pub(crate) last_request: Option<Moment>,
}

/// Revision numbers of the parts of a world. A part whose number differs has changed; the
/// numbers have no other meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Revisions {
    pub(crate) users: u64,
    pub(crate) groups: u64,
    pub(crate) messages: u64,
    pub(crate) requests: u64,
    pub(crate) clock: u64,
}

impl Worlds {
    pub(crate) fn new(tokens: Tokens, limits: Limits) -> Self {
        let mut worlds = Self {
            tokens,
            limits,
            by_name: BTreeMap::new(),
            revision: 0,
            local: format!("local-{}-", TokenMint::default().mint()),
        };
        worlds.make(DEFAULT_WORLD);
        for name in worlds.tokens.worlds() {
            worlds.make(&name);
        }
        worlds
    }

    /// The token that opens a world, if its name tells.
    pub(crate) fn token(&self, world: &str) -> Option<String> {
        self.tokens.token(world)
    }

    /// A token that opens a world until the process ends.
    pub(crate) fn local_token(&self, world: &str) -> String {
        format!("{}{world}", self.local)
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn get(&self, name: &str) -> Option<&World> {
        self.by_name.get(name)
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut World> {
        self.by_name.get_mut(name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &World)> {
        self.by_name
            .iter()
            .map(|(name, world)| (name.as_str(), world))
    }

    /// A value that differs whenever a snapshot would.
    pub(crate) fn version(&self) -> (u64, Vec<Revisions>) {
        let worlds = self.by_name.values();
        let revisions = worlds.map(|world| Revisions {
            requests: 0,
            ..world.revisions
        });
        (self.revision, revisions.collect())
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.by_name.keys().cloned().collect()
    }

    /// Finds the world that a request is for, by its token, and makes it if there is
    /// room. What is missing is reported first, then a wrong token.
    pub(crate) fn enter(&mut self, params: &Params) -> Result<String, Refusal> {
        params.text("op")?;
        let token = params.text("token")?;
        let name = match token.strip_prefix(&self.local) {
            Some(name) => self.by_name.contains_key(name).then(|| name.to_owned()),
            None => self.tokens.world(token),
        };
        let name = name.ok_or_else(|| Code::AuthFail.of("token"))?;
        match self.open(&name) {
            Some(_) => Ok(name),
            None => Err(Code::TooManyWorlds.of("token")),
        }
    }

    /// Carries a request out in the world that [`Worlds::enter`] found.
    pub(crate) fn answer(
        &mut self,
        world: Result<&str, Refusal>,
        params: &Params,
        system: Moment,
    ) -> Reply {
        let op = params.optional_text("op").unwrap_or_default();
        let id = params.optional_text("id");
        let outcome = world.and_then(|name| {
            // The world may have been deleted during a delay.
            self.make(name).perform(op, params, system)
        });
        Reply::new(op, id, outcome)
    }

    /// Deletes a world with all that it holds. The default world is only emptied.
    pub(crate) fn delete(&mut self, name: &str) -> bool {
        let deleted = self.by_name.remove(name).is_some();
        self.revision += u64::from(deleted);
        self.make(DEFAULT_WORLD);
        deleted
    }

    /// Puts a backend and a clock in the place of a world's own. `false` if that would
    /// make too many worlds.
    pub(crate) fn restore(&mut self, name: &str, backend: Backend, clock: Clock) -> bool {
        let Some(world) = self.open(name) else {
            return false;
        };
        world.backend = backend;
        world.clock = clock;
        world.revisions.all();
        true
    }

    /// The world of a name, made if there is none; `None` if there is no room.
    pub(crate) fn open(&mut self, name: &str) -> Option<&mut World> {
        let room = self.by_name.len() < self.limits.worlds;
        (room || self.by_name.contains_key(name)).then(|| self.make(name))
    }

    /// The world of a name, made if there is none.
    pub(crate) fn make(&mut self, name: &str) -> &mut World {
        let limits = &self.limits;
        let revision = &mut self.revision;
        self.by_name.entry(name.to_owned()).or_insert_with(|| {
            *revision += 1;
            World::new(limits, *revision)
        })
    }
}

impl World {
    fn new(limits: &Limits, revision: u64) -> Self {
        Self {
            backend: Backend::new(limits.clone()),
            clock: Clock::default(),
            requests: RequestLog::new(limits.requests, limits.request_bytes),
            revisions: Revisions::begin(revision),
            last_request: None,
        }
    }

    /// Everything that its backend holds.
    pub(crate) fn state(&mut self, system: Moment) -> Value {
        self.backend.forget_expired(self.clock.read(system));
        let mut state = self.backend.save();
        if let Some(state) = state.as_object_mut() {
            state.remove("next");
        }
        state
    }

    /// Empties it: the backend, the log, and the clock. Ids keep counting.
    pub(crate) fn reset(&mut self) {
        self.backend.clear();
        self.requests.clear();
        self.clock = Clock::default();
        self.revisions.all();
    }

    fn perform(&mut self, op: &str, params: &Params, system: Moment) -> Outcome {
        let now = self.clock.read(system);
        self.last_request = Some(system);
        let outcome = self.backend.perform(op, params, now);
        if outcome.is_ok() {
            self.revisions.count(op);
        }
        outcome
    }
}

impl Revisions {
    /// The numbers of a new world: none that a deleted one of its name had.
    fn begin(revision: u64) -> Self {
        let first = revision << 32;
        Self {
            users: first,
            groups: first,
            messages: first,
            requests: first,
            clock: first,
        }
    }

    /// Counts what a successful operation may have changed.
    fn count(&mut self, op: &str) {
        match op {
            "useradd" | "userset" | "usertoken" | "deltoken" => self.users += 1,
            "userdel" | "deluser" => {
                self.users += 1;
                self.groups += 1;
            }
            "groupadd" | "groupset" | "groupdel" | "groupeditmembers" => self.groups += 1,
            "message" => {
                self.messages += 1;
                // A message may extend the life of its group.
                self.groups += 1;
            }
            _ => {}
        }
    }

    pub(crate) fn all(&mut self) {
        self.users += 1;
        self.groups += 1;
        self.messages += 1;
        self.requests += 1;
        self.clock += 1;
    }
}
