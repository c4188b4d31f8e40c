//! The state that all requests share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::backend::{Backend, Saved};
use crate::clock::{Clock, Moment};
use crate::fault::{Facts, Faults, Plan};
use crate::settings::{DEFAULT_WORLD, Limits, Tokens, is_world};
use crate::wire::Params;
use crate::worlds::{Revisions, Worlds};

/// A function that is called with the name of each world that was emptied or replaced.
pub(crate) type Hook = Arc<dyn Fn(&str) + Send + Sync>;

/// The state of the sandbox, who watches it, and what bounds the reading of bodies.
pub(crate) struct Hub {
    state: Mutex<State>,
    changes: watch::Sender<()>,
    pub(crate) hook: Option<Hook>,
    /// One permit for each byte of a body.
    pub(crate) bodies: Arc<Semaphore>,
    pub(crate) stall_timeout: Duration,
    /// The end of the outage, during which nothing listens; a time in the past without one.
    pub(crate) outage: watch::Sender<Instant>,
    pub(crate) stopping: CancellationToken,
}

pub(crate) struct State {
    pub(crate) worlds: Worlds,
    pub(crate) faults: Faults,
}

/// Revision numbers of everything that the page of one world shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Changes {
    #[serde(flatten)]
    world: Revisions,
    worlds: u64,
    faults: u64,
}

impl Hub {
    pub(crate) fn new(tokens: Tokens, limits: Limits) -> Self {
        let bodies = limits.body_bytes.min(Semaphore::MAX_PERMITS);
        Self {
            stall_timeout: limits.stall_timeout,
            state: Mutex::new(State {
                worlds: Worlds::new(tokens, limits),
                faults: Faults::default(),
            }),
            changes: watch::Sender::new(()),
            hook: None,
            bodies: Arc::new(Semaphore::new(bodies)),
            outage: watch::Sender::new(Instant::now()),
            stopping: CancellationToken::new(),
        }
    }

    /// Looks at the state, or changes what nobody watches.
    pub(crate) fn with<R>(&self, look: impl FnOnce(&mut State) -> R) -> R {
        look(&mut self.lock())
    }

    /// Changes the state, and tells those who watch it.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let result = change(&mut self.lock());
        self.changes.send_replace(());
        result
    }

    /// A receiver that sees every change from now on.
    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Empties a world, and deletes the fault rules that are for it alone.
    pub(crate) fn reset(&self, world: &str) {
        self.change(|state| {
            if let Some(world) = state.worlds.get_mut(world) {
                world.reset();
            }
            state.faults.clear(Some(world));
        });
        self.was_reset(world);
    }

    /// Deletes a world, and the fault rules that are for it alone.
    pub(crate) fn delete_world(&self, name: &str) -> bool {
        let deleted = self.change(|state| {
            state.faults.clear(Some(name));
            state.worlds.delete(name)
        });
        if deleted {
            self.was_reset(name);
        }
        deleted
    }

    /// Puts the worlds of a snapshot in the place of all worlds.
    pub(crate) fn restore_all(&self, snapshot: Snapshot) -> Result<(), String> {
        let gone = self.change(|state| {
            let worlds = snapshot.check(state.worlds.limits())?;
            let mut gone = state.worlds.names();
            for name in &gone {
                state.worlds.delete(name);
            }
            for (name, backend, clock) in worlds {
                state.worlds.restore(&name, backend, clock);
                if !gone.contains(&name) {
                    gone.push(name);
                }
            }
            Ok::<_, String>(gone)
        })?;
        for name in gone {
            self.was_reset(&name);
        }
        Ok(())
    }

    /// Puts the only world of a snapshot in the place of the named one.
    pub(crate) fn restore_one(&self, name: &str, snapshot: Snapshot) -> Result<(), String> {
        self.change(|state| {
            let mut worlds = snapshot.check(state.worlds.limits())?;
            let (Some((_, backend, clock)), true) = (worlds.pop(), worlds.is_empty()) else {
                return Err("to be put into one world, a snapshot must hold one".to_owned());
            };
            if state.worlds.restore(name, backend, clock) {
                Ok(())
            } else {
                Err(format!(
                    "too many worlds: at most {}",
                    state.worlds.limits().worlds
                ))
            }
        })?;
        self.was_reset(name);
        Ok(())
    }

    fn was_reset(&self, world: &str) {
        tracing::info!(world, "sandbox world was emptied or replaced");
        if let Some(hook) = &self.hook {
            hook(world);
        }
    }

    /// A poisoned lock is taken all the same: one panic would otherwise fail every later
    /// request.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The effect that faults have on a request, if any.
    pub(crate) fn plan(&mut self, world: Option<&str>, params: &Params) -> Option<Plan> {
        let mut addresses: Vec<_> = params.addresses().map(str::to_owned).collect();
        // An operation on a user is for its address, too.
        if let Some(world) = world.and_then(|name| self.worlds.get(name))
            && let Ok(Some(uid)) = params.optional_number("uid")
            && let Some(user) = world.backend.user(uid)
        {
            addresses.push(user.address.clone());
        }
        let facts = Facts {
            op: params.optional_text("op").unwrap_or_default(),
            world,
            addresses: &addresses,
        };
        self.faults.plan(&facts, Instant::now())
    }

    pub(crate) fn changes(&self, world: &str) -> Changes {
        let world = self.worlds.get(world);
        Changes {
            world: world.map(|world| world.revisions).unwrap_or_default(),
            worlds: self.worlds.revision,
            faults: self.faults.revision,
        }
    }

    /// All worlds, or one, as [`Snapshot`] reads them.
    pub(crate) fn snapshot(&mut self, only: Option<&str>, system: Moment) -> Value {
        let mut worlds = Map::new();
        for name in self.worlds.names() {
            if only.is_some_and(|only| only != name) {
                continue;
            }
            if let Some(world) = self.worlds.get_mut(&name) {
                world.backend.forget_expired(world.clock.read(system));
                let mut saved = world.backend.save();
                saved["clock"] = json!(world.clock);
                worlds.insert(name, saved);
            }
        }
        json!({ "version": VERSION, "worlds": worlds })
    }
}

/// The version of snapshots that is written and read.
const VERSION: u64 = 1;

/// A snapshot whose worlds were not checked yet.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Snapshot {
    version: u64,
    worlds: BTreeMap<String, Saved>,
}

impl Snapshot {
    /// Checks the snapshot, and returns its worlds.
    fn check(self, limits: &Limits) -> Result<Vec<(String, Backend, Clock)>, String> {
        if self.version != VERSION {
            let version = self.version;
            return Err(format!("a snapshot of version {version}, not {VERSION}"));
        }
        // The default world always exists, whether the snapshot has it or not.
        let others = self.worlds.keys().filter(|name| *name != DEFAULT_WORLD);
        if others.count() >= limits.worlds {
            return Err(format!("too many worlds: at most {}", limits.worlds));
        }
        let now = Moment::now();
        let check = |(name, saved): (String, Saved)| {
            if !is_world(&name) {
                return Err(format!("{name:?} is no name of a world"));
            }
            let clock = saved.clock;
            let backend = Backend::restore(saved, limits.clone(), clock.read(now));
            let backend = backend.map_err(|error| format!("world {name:?}: {error}"))?;
            Ok((name, backend, clock))
        };
        self.worlds.into_iter().map(check).collect()
    }
}
