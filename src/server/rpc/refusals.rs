//! Calls that are not let in: whoever reaches the port can make as many as it likes, so the
//! log and the audit have a line a second for each reason, caller and address, with the
//! number of those that were left out.

use std::{convert::Infallible, net::IpAddr, sync::Arc, time::Duration};

use tokio::time::interval;

use crate::{
    call::Record,
    status::Reason,
    telemetry::{
        audit::AuditLog,
        sampler::{Sample, Sampler},
    },
};

/// How many kinds of refusals are kept apart by their addresses.
const MAX_KINDS: usize = 256;

/// How often what was left out is told, if no later line does.
const INTERVAL: Duration = Duration::from_secs(1);

/// The calls that are not let in. Clones share what was left out.
#[derive(Clone)]
pub(in crate::server) struct Refusals(Arc<Inner>);

struct Inner {
    audit: AuditLog,
    by_address: Sampler<Kind>,
    /// The calls of addresses that are too many to be counted by themselves.
    others: Sampler<Kind>,
}

/// Why a call is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Refusal {
    /// The call may not be made, for the reason that its status gives.
    Denied(Reason),
    /// There is no such RPC.
    UnknownMethod,
    /// The request is no call in any dialect that is spoken.
    NoCall,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Kind {
    refusal: Refusal,
    caller: Option<Arc<str>>,
    address: Option<IpAddr>,
}

impl Refusals {
    /// Denials leave lines in `audit` as well.
    pub(in crate::server) fn new(audit: AuditLog) -> Self {
        Self(Arc::new(Inner {
            audit,
            by_address: Sampler::new(MAX_KINDS),
            others: Sampler::new(MAX_KINDS),
        }))
    }

    /// Takes a sample of a call that is not let in. `None` if it leaves no line, and else
    /// how many before it left none.
    pub(super) fn take(&self, record: &Record, rpc: &str, refusal: Refusal) -> Option<u64> {
        let kind = Kind {
            refusal,
            caller: record.caller().cloned(),
            address: Some(record.peer().address().ip()),
        };
        let sample = match self.0.by_address.take(&kind) {
            Sample::NoRoom => self.0.others.take(&Kind {
                address: None,
                ..kind
            }),
            sample => sample,
        };
        let Sample::Line { skipped } = sample else {
            return None;
        };
        if let Refusal::Denied(reason) = refusal {
            let mut line = self.0.audit.line(Some(record.id().as_str()));
            record.describe(&mut line, rpc);
            line.text("outcome", "denied")
                .text("reason", reason.as_str());
            if skipped > 0 {
                line.number("skipped", skipped);
            }
            self.0.audit.write(line);
        }
        Some(skipped)
    }

    /// Tells every second what was left out and no later line told.
    pub(in crate::server) async fn report(&self) -> Infallible {
        let mut ticks = interval(INTERVAL);
        loop {
            ticks.tick().await;
            self.tell(INTERVAL);
        }
    }

    /// Tells what was left out since lines that are at least this old.
    pub(in crate::server) fn tell(&self, age: Duration) {
        let swept = self.0.by_address.sweep(age).into_iter();
        for (kind, skipped) in swept.chain(self.0.others.sweep(age)) {
            let (caller, reason) = (kind.caller.as_deref(), kind.refusal.reason());
            let peer = kind.address.map(tracing::field::display);
            tracing::info!(caller, reason, peer, skipped, "more calls were not let in");
            if let Refusal::Denied(_) = kind.refusal {
                let mut line = self.0.audit.line(None);
                if let Some(caller) = caller {
                    line.text("caller", caller);
                }
                if let Some(address) = kind.address {
                    line.display("peer", address);
                }
                line.text("outcome", "denied")
                    .text("reason", reason)
                    .number("skipped", skipped);
                self.0.audit.write(line);
            }
        }
    }
}

impl Refusal {
    /// The reason, as the log has it.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Denied(reason) => reason.as_str(),
            Self::UnknownMethod => Reason::UnknownMethod.as_str(),
            Self::NoCall => "NO_CALL",
        }
    }
}
