//! What the log tells of a call at its end, gathered along its way.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

/// What is known of a call so far. Clones are of the same call.
#[derive(Clone, Debug, Default)]
pub struct Record(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    caller: OnceLock<Arc<str>>,
    app: OnceLock<Arc<str>>,
    upstream: OnceLock<&'static str>,
    is_cut_short: AtomicBool,
}

impl Record {
    /// Who calls, and for which app.
    pub fn admitted(&self, caller: &Arc<str>, app: &Arc<str>) {
        let _ = self.0.caller.set(Arc::clone(caller));
        let _ = self.0.app.set(Arc::clone(app));
    }

    /// What became of the call to Mesibo.
    pub fn upstream(&self, outcome: &'static str) {
        let _ = self.0.upstream.set(outcome);
    }

    /// Its caller went away before the request was complete.
    pub fn cut_short(&self) {
        self.0.is_cut_short.store(true, Ordering::Relaxed);
    }

    /// Whether its caller did.
    #[must_use]
    pub fn is_cut_short(&self) -> bool {
        self.0.is_cut_short.load(Ordering::Relaxed)
    }

    /// Who calls, if that is known.
    #[must_use]
    pub fn caller(&self) -> Option<&str> {
        self.0.caller.get().map(|caller| &**caller)
    }

    /// The app, if that is known.
    #[must_use]
    pub fn app(&self) -> Option<&str> {
        self.0.app.get().map(|app| &**app)
    }

    /// What became of the call to Mesibo, if there was one.
    #[must_use]
    pub fn outcome(&self) -> Option<&'static str> {
        self.0.upstream.get().copied()
    }
}
