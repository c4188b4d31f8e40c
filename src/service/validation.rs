//! The rules that a request must meet before anything is sent. All of them are
//! checked, so that a caller learns of every mistake at once.

use std::collections::HashMap;

use prost_types::Duration;
use tonic::Status;
use tonic_types::FieldViolation;
use uuid::{Uuid, fmt::Hyphenated};

use crate::{call::Context, status};

/// Longest address, application id and address pattern, in bytes.
const MAX_ADDRESS_BYTES: usize = 1_024;

/// Longest message, in bytes.
const MAX_MESSAGE_BYTES: usize = 1024 * 1024;

/// Longest list that Mesibo gives, in rows.
const MAX_COUNT: u32 = 20;

/// Longest `google.protobuf.Duration`, about 10,000 years.
const MAX_SECONDS: u64 = 315_576_000_000;

/// The rules that a request was found to break.
pub(super) struct Rules<'a> {
    call: &'a Context,
    op: &'static str,
    violations: Vec<FieldViolation>,
}

impl<'a> Rules<'a> {
    /// Begins to check the request of a call, which becomes the operation `op`.
    pub(super) fn new(call: &'a Context, op: &'static str) -> Self {
        Self {
            call,
            op,
            violations: Vec::new(),
        }
    }

    /// The status `INVALID_ARGUMENT` if any rule is broken.
    pub(super) fn check(self) -> Result<(), Status> {
        if self.violations.is_empty() {
            Ok(())
        } else {
            let draft = status::invalid_request(self.op, self.violations);
            Err(draft.into_status(self.call.record.id()))
        }
    }

    /// An id is not 0.
    pub(super) fn id(&mut self, field: &str, id: u64) {
        self.require(id != 0, field, "must not be 0");
    }

    /// A count of rows is one that Mesibo gives.
    pub(super) fn count(&mut self, count: Option<u32>) {
        self.require(
            count.is_none_or(|count| (1..=MAX_COUNT).contains(&count)),
            "count",
            format!("must be from 1 to {MAX_COUNT}"),
        );
    }

    /// An application id is a text that Mesibo can take.
    pub(super) fn app_id(&mut self, field: &str, app_id: &str) {
        if let Some(problem) = problem_of_text(app_id) {
            self.add(field, problem);
        }
    }

    /// An address is a text that stays one address in a comma-separated list.
    pub(super) fn address(&mut self, field: &str, address: &str) {
        if let Some(problem) = problem_of_address(address) {
            self.add(field, problem);
        }
    }

    /// Members are addresses, each named once.
    pub(super) fn members(&mut self, members: &[String]) {
        let mut seen = HashMap::new();
        for (index, member) in members.iter().enumerate() {
            self.address(&format!("members[{index}]"), member);
            if let Some(first) = seen.insert(member, index) {
                self.add(
                    &format!("members[{index}]"),
                    format!("must not repeat members[{first}]"),
                );
            }
        }
    }

    /// Receivers are addresses, separated by commas, each named once.
    pub(super) fn recipients(&mut self, field: &str, addresses: &str) {
        let mut seen = HashMap::new();
        for (number, address) in (1..).zip(addresses.split(',')) {
            if let Some(problem) = problem_of_address(address) {
                self.add(field, format!("address {number} {problem}"));
            }
            if let Some(first) = seen.insert(address, number) {
                self.add(
                    field,
                    format!("address {number} must not repeat address {first}"),
                );
            }
        }
    }

    /// A message has a text that Mesibo can take.
    pub(super) fn message(&mut self, message: &str) {
        self.require(
            (1..=MAX_MESSAGE_BYTES).contains(&message.len()),
            "message",
            format!("must have from 1 to {MAX_MESSAGE_BYTES} bytes"),
        );
    }

    /// A request id is a UUID, in its usual form.
    pub(super) fn request_id(&mut self, id: Option<&str>) -> Option<Uuid> {
        let id = id?;
        let uuid = Uuid::try_parse(id)
            .ok()
            .filter(|uuid| id.len() == Hyphenated::LENGTH && !uuid.is_nil());
        self.require(
            uuid.is_some(),
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
        let names = names.join(", ");
        for (field, _) in fields {
            self.add(field, format!("at least one must be set of {names}"));
        }
    }

    /// Any other rule, with what is allowed.
    pub(super) fn require(&mut self, holds: bool, field: &str, allowed: impl Into<String>) {
        if !holds {
            self.add(field, allowed);
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
        let whole = duration.nanos == 0
            && (1..=MAX_SECONDS).contains(&seconds)
            && seconds.is_multiple_of(unit);
        self.require(
            whole,
            field,
            format!("must be positive and whole {units}, at most {MAX_SECONDS} s"),
        );
        whole.then_some(seconds / unit)
    }

    fn add(&mut self, field: &str, allowed: impl Into<String>) {
        self.violations.push(FieldViolation::new(field, allowed));
    }
}

fn problem_of_text(text: &str) -> Option<String> {
    if text.is_empty() {
        Some("must not be empty".into())
    } else if text.len() > MAX_ADDRESS_BYTES {
        Some(format!("must have at most {MAX_ADDRESS_BYTES} bytes"))
    } else if text.chars().any(char::is_control) {
        Some("must not have control characters".into())
    } else if text.trim() != text {
        Some("must not begin or end with white space".into())
    } else {
        None
    }
}

fn problem_of_address(address: &str) -> Option<String> {
    problem_of_text(address).or_else(|| {
        address
            .contains(',')
            .then(|| "must not have a comma, which separates addresses".into())
    })
}
