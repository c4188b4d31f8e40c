//! Faults: rules that select requests, and effects that these requests suffer.

mod effect;
mod magic;
mod rate;
mod rule;

use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::{Value, json};

pub(crate) use self::effect::{Close, Effect, Malformed, Reaction, seconds};
use self::rate::Bucket;
pub(crate) use self::rule::Rule;
use crate::backend::matches;
use crate::requests::Hit;

/// The maximum number of rules.
const MAX_RULES: usize = 100;

/// The rules in force, in the order in which they are tried.
#[derive(Default)]
pub(crate) struct Faults {
    rules: Vec<Armed>,
    next_id: u64,
    /// Counts every rule that is set, deleted, or hits.
    pub(crate) revision: u64,
}

/// A rule with its counters.
struct Armed {
    id: String,
    rule: Rule,
    /// The number of requests that it selects, hit or not.
    matched: u64,
    /// The number of requests that it hit.
    hits: u64,
    chance: Rng,
    bucket: Option<Bucket>,
}

/// The properties of a request by which rules select it.
pub(crate) struct Facts<'a> {
    pub(crate) op: &'a str,
    pub(crate) world: Option<&'a str>,
    pub(crate) addresses: &'a [String],
}

/// The effect that a request will suffer, and its cause for the log.
pub(crate) struct Plan {
    pub(crate) hit: Hit,
    pub(crate) effect: Effect,
}

impl Faults {
    /// Replaces the rules, or those of a world alone. All of them are checked first.
    ///
    /// # Errors
    ///
    /// A text that says which rule is wrong, and what is allowed.
    pub(crate) fn replace(&mut self, world: Option<&str>, rules: Vec<Rule>) -> Result<(), String> {
        let mut kept: Vec<_> = std::mem::take(&mut self.rules);
        let others = kept.iter().filter(|armed| !armed.is_of(world)).count();
        let checked = check_all(world, rules, others, |id| {
            kept.iter()
                .any(|armed| !armed.is_of(world) && armed.id == id)
        });
        let rules = match checked {
            Ok(rules) => rules,
            Err(error) => {
                self.rules = kept;
                return Err(error);
            }
        };
        kept.retain(|armed| !armed.is_of(world));
        self.rules = kept;
        for rule in rules {
            self.arm(rule);
        }
        self.revision += 1;
        Ok(())
    }

    /// Adds a rule behind the others, and says its id.
    pub(crate) fn add(&mut self, world: Option<&str>, rule: Rule) -> Result<String, String> {
        let taken = |id: &str| self.rules.iter().any(|armed| armed.id == id);
        let rules = check_all(world, vec![rule], self.rules.len(), taken)?;
        for rule in rules {
            self.arm(rule);
        }
        self.revision += 1;
        let added = self.rules.last().map(|armed| armed.id.clone());
        Ok(added.unwrap_or_default())
    }

    /// Deletes the rules, or those of a world alone.
    pub(crate) fn clear(&mut self, world: Option<&str>) {
        self.rules.retain(|armed| !armed.is_of(world));
        self.revision += 1;
    }

    pub(crate) fn remove(&mut self, id: &str) -> bool {
        let before = self.rules.len();
        self.rules.retain(|armed| armed.id != id);
        self.revision += 1;
        self.rules.len() < before
    }

    /// The rules in force, with how often each was tried and hit.
    pub(crate) fn list(&self, world: Option<&str>) -> Vec<Value> {
        let rules = self.rules.iter().filter(|armed| armed.is_of(world));
        rules.map(Armed::show).collect()
    }

    pub(crate) fn show(&self, id: &str) -> Option<Value> {
        let mut rules = self.rules.iter();
        rules.find(|armed| armed.id == id).map(Armed::show)
    }

    /// The effect on a request: that of the first rule that hits it, or else that of a
    /// magic address.
    pub(crate) fn plan(&mut self, facts: &Facts<'_>, now: Instant) -> Option<Plan> {
        for armed in &mut self.rules {
            if let Some(effect) = armed.strike(facts, now) {
                self.revision += 1;
                let hit = Hit {
                    rule: Some(armed.id.clone()),
                    effect: effect.to_string(),
                };
                return Some(Plan { hit, effect });
            }
        }
        let effect = facts
            .addresses
            .iter()
            .find_map(|address| magic::read(address))?;
        let hit = Hit {
            rule: None,
            effect: effect.to_string(),
        };
        Some(Plan { hit, effect })
    }

    fn arm(&mut self, rule: Rule) {
        let id = rule.id.clone().unwrap_or_else(|| self.fresh_id());
        self.rules.push(Armed {
            id,
            matched: 0,
            hits: 0,
            chance: Rng::with_seed(rule.seed.unwrap_or_default()),
            bucket: rule.rate_limit.map(Bucket::new),
            rule,
        });
    }

    fn fresh_id(&mut self) -> String {
        loop {
            self.next_id += 1;
            let id = self.next_id.to_string();
            if self.rules.iter().all(|armed| armed.id != id) {
                return id;
            }
        }
    }
}

/// Checks rules that are to be set together beside `others`.
fn check_all(
    world: Option<&str>,
    mut rules: Vec<Rule>,
    others: usize,
    taken: impl Fn(&str) -> bool,
) -> Result<Vec<Rule>, String> {
    if others + rules.len() > MAX_RULES {
        return Err(format!("too many rules: at most {MAX_RULES} at a time"));
    }
    let mut ids: Vec<String> = Vec::new();
    for (index, rule) in rules.iter_mut().enumerate() {
        if world.is_some() {
            rule.world = world.map(str::to_owned);
        }
        rule.check()
            .map_err(|error| format!("rule {}: {error}", index + 1))?;
        if let Some(id) = &rule.id {
            if taken(id) || ids.contains(id) {
                return Err(format!(
                    "rule {}: another rule has the id {id:?}",
                    index + 1
                ));
            }
            ids.push(id.clone());
        }
    }
    Ok(rules)
}

impl Armed {
    /// Whether the rule is for this world alone; true for every rule if `world` is `None`.
    fn is_of(&self, world: Option<&str>) -> bool {
        world.is_none_or(|world| self.rule.world.as_deref() == Some(world))
    }

    /// The effect on a request, if the rule is for it and its turn has come.
    fn strike(&mut self, facts: &Facts<'_>, now: Instant) -> Option<Effect> {
        if !self.rule.is_for(facts) {
            return None;
        }
        self.matched += 1;
        if self
            .rule
            .times
            .is_some_and(|times| self.hits >= times.get())
        {
            return None;
        }
        if self
            .rule
            .every
            .is_some_and(|every| self.matched % every != 0)
        {
            return None;
        }
        let chance = self.rule.probability.unwrap_or(1.0);
        if chance < 1.0 && self.chance.f64() >= chance {
            return None;
        }
        let wait = match &mut self.bucket {
            Some(bucket) => bucket.wait(now)?,
            None => Duration::ZERO,
        };
        self.hits += 1;
        Some(self.rule.effect(wait))
    }

    fn show(&self) -> Value {
        let mut shown = json!(self.rule);
        shown["id"] = json!(self.id);
        shown["matched"] = json!(self.matched);
        shown["hits"] = json!(self.hits);
        shown["effect"] = json!(self.rule.effect(Duration::ZERO).to_string());
        shown
    }
}

impl Rule {
    fn is_for(&self, facts: &Facts<'_>) -> bool {
        let op = self.op.as_deref();
        let world = self.world.as_deref();
        op.is_none_or(|op| matches(op, facts.op))
            && world.is_none_or(|world| facts.world == Some(world))
            && self.address.as_deref().is_none_or(|pattern| {
                let mut addresses = facts.addresses.iter();
                addresses.any(|address| matches(pattern, address))
            })
    }
}

#[cfg(test)]
mod tests;
