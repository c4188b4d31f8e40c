//! What a request passes before it is carried out: whether its caller may make it, and how
//! often, then the rules of the contract, and then the limits that carrying it out counts
//! against. All rules are checked, so that a caller learns of every mistake at once.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    ops::{Deref, DerefMut},
};

use prost_types::Duration;
use tonic::Status;
use uuid::{Uuid, fmt::Hyphenated};

use super::{
    page::{self, Query},
    pass,
};
use crate::{
    call::{Asked, Context},
    status::{self, Rule, Violations},
};

/// Longest address, application id and address pattern, in bytes.
const MAX_ADDRESS_BYTES: usize = 1_024;

/// Longest list of members or receivers, in entries.
pub(super) const MAX_ENTRIES: usize = 1_000;

/// Longest message, in bytes.
const MAX_MESSAGE_BYTES: usize = 1024 * 1024;

/// Longest list that Mesibo gives, in rows.
const MAX_COUNT: u32 = 20;

/// Longest `google.protobuf.Duration`, about 10,000 years.
const MAX_SECONDS: u64 = 315_576_000_000;

/// The rules of a request that its caller may make, and those that it was found to break.
pub(super) struct Rules {
    call: Context,
    op: &'static str,
    units: NonZeroU32,
    checks: Checks,
}

/// The rules that a request was found to break.
#[derive(Default)]
pub(super) struct Checks {
    violations: Violations,
}

/// A rule that a text breaks, and what is allowed.
type Problem = (Rule, &'static str);

impl Rules {
    /// Begins to check the request of a call, which becomes the operation `op`. The status
    /// is a denial if the caller may not make it, or not so often.
    pub(super) async fn new(
        mut call: Context,
        op: &'static str,
        asked: &Asked<'_>,
    ) -> Result<Self, Status> {
        pass(&mut call, |call| call.gate.admit(call, asked)).await?;
        let key = call.record.key().cloned();
        let mut rules = Self {
            call,
            op,
            units: asked.units,
            checks: Checks::default(),
        };
        if let Some(key) = key
            && let Some((rule, allowed)) = problem_of_text(&key)
        {
            rules.require(false, rule, "key", allowed);
        }
        Ok(rules)
    }

    /// The call, while its request is checked.
    pub(super) fn call(&self) -> &Context {
        &self.call
    }

    /// The call to carry out, which counts against the limits of its caller and its app
    /// from now on, and an item of a stream against its deadline. The status is `INVALID_ARGUMENT` if any rule is broken, and a denial if
    /// there is no room.
    pub(super) async fn check(self) -> Result<Context, Status> {
        let mut call = self.call;
        let violations = self.checks.violations;
        if !violations.is_empty() {
            let draft = status::invalid_request(self.op, violations);
            return Err(draft.into_status(call.record.id()));
        }
        call.slot = pass(&mut call, |call| call.gate.begin(call, self.units)).await?;
        call.due = call.due.admitted();
        Ok(call)
    }
}

impl Deref for Rules {
    type Target = Checks;

    fn deref(&self) -> &Checks {
        &self.checks
    }
}

impl DerefMut for Rules {
    fn deref_mut(&mut self) -> &mut Checks {
        &mut self.checks
    }
}

impl Checks {
    /// The rules that are broken, by field, in words.
    pub(super) fn problems(self) -> Vec<(String, String)> {
        let listed = self.violations.into_listed().into_iter();
        listed.map(|it| (it.field, it.description)).collect()
    }

    /// A user is named by its uid or by its address, not both.
    pub(super) fn uid_or_address(&mut self, uid: u64, address: Option<&str>) {
        match address {
            None => self.require(uid != 0, Rule::Zero, "uid", "must not be 0"),
            Some(address) => {
                self.address("address", address);
                let allowed = "must not be set together with uid";
                self.require(uid == 0, Rule::Conflict, "address", allowed);
            }
        }
    }

    /// How an address or a name begins.
    pub(super) fn prefix(&mut self, field: &str, prefix: &str) {
        let allowed = "must have at most 1024 bytes";
        let is_short = prefix.len() <= MAX_ADDRESS_BYTES;
        self.require(is_short, Rule::TooLong, field, allowed);
    }

    /// The number of entries of a page.
    pub(super) fn page_size(&mut self, size: u32) -> u32 {
        if size > page::MAX_SIZE {
            self.violations.add(Rule::OutOfRange, || {
                let allowed = format!("must be at most {}", page::MAX_SIZE);
                ("page_size".into(), allowed)
            });
        }
        match size {
            0 => page::DEFAULT_SIZE,
            size => size.min(page::MAX_SIZE),
        }
    }

    /// The key that a page begins after. `None` for the first page.
    pub(super) fn page_token<K>(
        &mut self,
        query: &Query,
        token: &str,
        read: impl FnOnce(&[u8]) -> Option<K>,
    ) -> Option<K> {
        if token.is_empty() {
            return None;
        }
        let key = query.key(token).and_then(|key| read(&key));
        let allowed = "must be the next_page_token of the page before, with the same query, app \
                       and caller";
        self.require(key.is_some(), Rule::Conflict, "page_token", allowed);
        key
    }

    /// An id is not 0.
    pub(super) fn id(&mut self, field: &str, id: u64) {
        self.require(id != 0, Rule::Zero, field, "must not be 0");
    }

    /// A count of rows is one that Mesibo gives.
    pub(super) fn count(&mut self, count: Option<u32>) {
        if !count.is_none_or(|count| (1..=MAX_COUNT).contains(&count)) {
            self.violations.add(Rule::OutOfRange, || {
                ("count".into(), format!("must be from 1 to {MAX_COUNT}"))
            });
        }
    }

    /// An application id is a text that Mesibo can take.
    pub(super) fn app_id(&mut self, field: &str, app_id: &str) {
        if let Some((rule, allowed)) = problem_of_text(app_id) {
            self.require(false, rule, field, allowed);
        }
    }

    /// An address is a text that stays one address in a comma-separated list.
    pub(super) fn address(&mut self, field: &str, address: &str) {
        if let Some((rule, allowed)) = problem_of_address(address) {
            self.require(false, rule, field, allowed);
        }
    }

    /// Members are addresses, each named once.
    pub(super) fn members(&mut self, members: &[String]) {
        self.at_most(members.len(), "members");
        let mut seen = HashMap::new();
        for (index, member) in members.iter().take(MAX_ENTRIES).enumerate() {
            let field = || format!("members[{index}]");
            if let Some((rule, allowed)) = problem_of_address(member) {
                self.violations.add(rule, || (field(), allowed.into()));
            }
            if let Some(first) = seen.insert(member, index) {
                self.violations.add(Rule::Duplicate, || {
                    (field(), format!("must not repeat members[{first}]"))
                });
            }
        }
    }

    /// Receivers are addresses, separated by commas, each named once.
    pub(super) fn recipients(&mut self, field: &str, addresses: &str) {
        let count = recipients_of(addresses);
        self.at_most(count, field);
        let mut seen = HashMap::new();
        for (number, address) in (1..).zip(addresses.split(',').take(MAX_ENTRIES)) {
            if let Some((rule, allowed)) = problem_of_address(address) {
                self.violations.add(rule, || {
                    (field.into(), format!("address {number} {allowed}"))
                });
            }
            if count > 1
                && let Some(first) = seen.insert(address, number)
            {
                self.violations.add(Rule::Duplicate, || {
                    let allowed = format!("address {number} must not repeat address {first}");
                    (field.into(), allowed)
                });
            }
        }
    }

    /// A message has a text that Mesibo can take.
    pub(super) fn message(&mut self, message: &str) {
        let rule = match message.len() {
            0 => Rule::Required,
            1..=MAX_MESSAGE_BYTES => return,
            _ => Rule::TooLong,
        };
        self.violations.add(rule, || {
            let allowed = format!("must have from 1 to {MAX_MESSAGE_BYTES} bytes");
            ("message".into(), allowed)
        });
    }

    /// A request id is a UUID, in its usual form.
    pub(super) fn request_id(&mut self, id: Option<&str>) -> Option<Uuid> {
        let id = id?;
        let uuid = Uuid::try_parse(id)
            .ok()
            .filter(|uuid| id.len() == Hyphenated::LENGTH && !uuid.is_nil());
        self.require(
            uuid.is_some(),
            Rule::NotUuid,
            "request_id",
            "must be a UUID, such as 6f1ed002-ab5b-4a1f-a1e6-3c1f4b2d8c0e, and not all zeros",
        );
        uuid
    }

    /// A duration that goes out in minutes.
    pub(super) fn minutes(&mut self, field: &str, duration: Option<Duration>) -> Option<u64> {
        self.whole(field, duration, 60, "minutes")
    }

    /// A duration that goes out in seconds.
    pub(super) fn seconds(&mut self, field: &str, duration: Option<Duration>) -> Option<u64> {
        self.whole(field, duration, 1, "seconds")
    }

    /// An edit changes something.
    pub(super) fn at_least_one(&mut self, fields: &[(&str, bool)]) {
        if fields.iter().any(|&(_, set)| set) {
            return;
        }
        let names: Vec<_> = fields.iter().map(|&(name, _)| name).collect();
        let allowed = format!("at least one must be set of {}", names.join(", "));
        self.violations
            .add_of_fields(Rule::AtLeastOne, &names, &allowed);
    }

    /// Any other rule, with what is allowed.
    pub(super) fn require(&mut self, holds: bool, rule: Rule, field: &str, allowed: &str) {
        if !holds {
            self.violations.add(rule, || (field.into(), allowed.into()));
        }
    }

    /// A list has no more entries than may be. What is above is not looked at.
    fn at_most(&mut self, entries: usize, field: &str) {
        if entries > MAX_ENTRIES {
            self.violations.add(Rule::TooMany, || {
                (
                    field.into(),
                    format!("must have at most {MAX_ENTRIES} entries"),
                )
            });
        }
    }

    /// A duration as a number of whole units of the wire. Never rounded: a caller
    /// who asks for 90 seconds does not mean a minute.
    fn whole(
        &mut self,
        field: &str,
        duration: Option<Duration>,
        unit: u64,
        units: &str,
    ) -> Option<u64> {
        let duration = duration?;
        let seconds = u64::try_from(duration.seconds).unwrap_or(0);
        let rule = if !(1..=MAX_SECONDS).contains(&seconds) || duration.nanos < 0 {
            Rule::OutOfRange
        } else if duration.nanos != 0 || !seconds.is_multiple_of(unit) {
            Rule::NotWhole
        } else {
            return Some(seconds / unit);
        };
        self.violations.add(rule, || {
            let allowed = format!("must be positive and whole {units}, at most {MAX_SECONDS} s");
            (field.into(), allowed)
        });
        None
    }
}

/// How many addresses a comma-separated list has. One above the limit stands for any number
/// above it: the rest is not looked at.
pub(super) fn recipients_of(addresses: &str) -> usize {
    addresses.split(',').take(MAX_ENTRIES + 1).count()
}

fn problem_of_text(text: &str) -> Option<Problem> {
    const { assert!(MAX_ADDRESS_BYTES == 1_024, "the text below says so") };
    if text.is_empty() {
        Some((Rule::Required, "must not be empty"))
    } else if text.len() > MAX_ADDRESS_BYTES {
        Some((Rule::TooLong, "must have at most 1024 bytes"))
    } else if text.chars().any(char::is_control) {
        Some((Rule::ControlCharacter, "must not have control characters"))
    } else if text.trim() != text {
        Some((Rule::WhiteSpace, "must not begin or end with white space"))
    } else {
        None
    }
}

fn problem_of_address(address: &str) -> Option<Problem> {
    problem_of_text(address).or_else(|| {
        let allowed = "must not have a comma, which separates addresses";
        address.contains(',').then_some((Rule::Comma, allowed))
    })
}
