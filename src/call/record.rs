//! What the log and the metrics say at the end of a call, gathered while it runs.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use super::{denial::Denial, request_id::RequestId};

/// What is known of a call so far. Clones share one record.
#[derive(Clone, Debug)]
pub struct Record(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: RequestId,
    caller: OnceLock<Arc<str>>,
    app: OnceLock<Arc<str>>,
    upstream: OnceLock<&'static str>,
    denial: OnceLock<Denial>,
    is_cut_short: AtomicBool,
}

impl Record {
    /// An empty record of the call with this id.
    #[must_use]
    pub fn new(id: RequestId) -> Self {
        Self(Arc::new(Inner {
            id,
            caller: OnceLock::new(),
            app: OnceLock::new(),
            upstream: OnceLock::new(),
            denial: OnceLock::new(),
            is_cut_short: AtomicBool::new(false),
        }))
    }

    /// The id of the call.
    #[must_use]
    pub fn id(&self) -> &RequestId {
        &self.0.id
    }

    /// Records the caller and the app of a call that was admitted.
    pub fn admitted(&self, caller: &Arc<str>, app: &Arc<str>) {
        let _ = self.0.caller.set(Arc::clone(caller));
        let _ = self.0.app.set(Arc::clone(app));
    }

    /// Records what became of the call to Mesibo.
    pub fn upstream(&self, outcome: &'static str) {
        let _ = self.0.upstream.set(outcome);
    }

    /// Records that the call may not be made.
    pub fn denied(&self, denial: Denial) {
        let _ = self.0.denial.set(denial);
    }

    /// Records that the client went away before its request was complete.
    pub fn cut_short(&self) {
        self.0.is_cut_short.store(true, Ordering::Relaxed);
    }

    /// Whether the client went away before its request was complete.
    #[must_use]
    pub fn is_cut_short(&self) -> bool {
        self.0.is_cut_short.load(Ordering::Relaxed)
    }

    /// The caller's name, if it is known.
    #[must_use]
    pub fn caller(&self) -> Option<&str> {
        self.0.caller.get().map(|caller| &**caller)
    }

    /// The app's name, if it is known.
    #[must_use]
    pub fn app(&self) -> Option<&str> {
        self.0.app.get().map(|app| &**app)
    }

    /// What became of the call to Mesibo, if there was one.
    #[must_use]
    pub fn outcome(&self) -> Option<&'static str> {
        self.0.upstream.get().copied()
    }

    /// Why the call may not be made, if it may not.
    #[must_use]
    pub fn denial(&self) -> Option<&Denial> {
        self.0.denial.get()
    }
}
