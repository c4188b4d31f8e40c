//! What the log and the metrics say at the end of a call, gathered while it runs.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use super::{credential::Credential, denial::Denial, peer::Peer, request_id::RequestId};
use crate::telemetry::line::Line;

/// What is known of a call so far. Clones share one record.
#[derive(Clone, Debug)]
pub struct Record(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: RequestId,
    /// The key of an item of a stream.
    key: Option<Arc<str>>,
    peer: Peer,
    credential: OnceLock<Credential>,
    caller: OnceLock<Arc<str>>,
    app: OnceLock<Arc<str>>,
    upstream: OnceLock<&'static str>,
    failure: OnceLock<UpstreamFailure>,
    denial: OnceLock<Denial>,
    is_cut_short: AtomicBool,
    items: AtomicU64,
    failed_items: AtomicU64,
}

/// What the log says of a call to Mesibo that failed, besides its outcome.
#[derive(Clone, Debug, Default)]
pub struct UpstreamFailure {
    /// Mesibo's error code.
    pub code: Option<String>,
    /// What went wrong, unless Mesibo said no.
    pub error: Option<String>,
    /// The errors beneath it.
    pub cause: Option<String>,
}

impl Inner {
    fn new(id: RequestId, peer: Peer) -> Self {
        Self {
            id,
            key: None,
            peer,
            credential: OnceLock::new(),
            caller: OnceLock::new(),
            app: OnceLock::new(),
            upstream: OnceLock::new(),
            failure: OnceLock::new(),
            denial: OnceLock::new(),
            is_cut_short: AtomicBool::new(false),
            items: AtomicU64::new(0),
            failed_items: AtomicU64::new(0),
        }
    }
}

impl Record {
    /// An empty record of the call of a peer with this id.
    #[must_use]
    pub fn new(id: RequestId, peer: Peer) -> Self {
        Self(Arc::new(Inner::new(id, peer)))
    }

    /// The record of an item of the call's stream: who calls is known, and what becomes of
    /// the item is not.
    #[must_use]
    pub fn of_item(&self, key: Arc<str>) -> Self {
        let Inner {
            id,
            peer,
            credential,
            caller,
            app,
            ..
        } = &*self.0;
        Self(Arc::new(Inner {
            key: Some(key),
            credential: credential.clone(),
            caller: caller.clone(),
            app: app.clone(),
            ..Inner::new(id.clone(), peer.clone())
        }))
    }

    /// The id of the call.
    #[must_use]
    pub fn id(&self) -> &RequestId {
        &self.0.id
    }

    /// The key of the item, if this is the record of one.
    #[must_use]
    pub fn key(&self) -> Option<&Arc<str>> {
        self.0.key.as_ref()
    }

    /// Counts an item of the call's stream that was answered.
    pub fn answered(&self, failed: bool) {
        self.0.items.fetch_add(1, Ordering::Relaxed);
        let failed = u64::from(failed);
        self.0.failed_items.fetch_add(failed, Ordering::Relaxed);
    }

    /// How many items of the call's stream were answered, and how many of them failed.
    #[must_use]
    pub fn items(&self) -> (u64, u64) {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (load(&self.0.items), load(&self.0.failed_items))
    }

    /// Records what the caller showed, right or wrong.
    pub fn showed(&self, credential: Credential) {
        let _ = self.0.credential.set(credential);
    }

    /// Records who calls.
    pub fn identified(&self, caller: &Arc<str>) {
        let _ = self.0.caller.set(Arc::clone(caller));
    }

    /// Records the app that the call is for, whether its caller may use it or not.
    pub fn is_for(&self, app: &Arc<str>) {
        let _ = self.0.app.set(Arc::clone(app));
    }

    /// Records what became of the call to Mesibo.
    pub fn upstream(&self, outcome: &'static str) {
        let _ = self.0.upstream.set(outcome);
    }

    /// Records that the call to Mesibo failed.
    pub fn upstream_failed(&self, outcome: &'static str, failure: UpstreamFailure) {
        self.upstream(outcome);
        let _ = self.0.failure.set(failure);
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

    /// The other end of the connection.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.0.peer
    }

    /// What the caller showed, if it showed something.
    #[must_use]
    pub fn credential(&self) -> Option<&Credential> {
        self.0.credential.get()
    }

    /// The caller's name, if it is known.
    #[must_use]
    pub fn caller(&self) -> Option<&Arc<str>> {
        self.0.caller.get()
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

    /// Why the call to Mesibo failed, if it did.
    #[must_use]
    pub fn failure(&self) -> Option<&UpstreamFailure> {
        self.0.failure.get()
    }

    /// Why the call may not be made, if it may not.
    #[must_use]
    pub fn denial(&self) -> Option<&Denial> {
        self.0.denial.get()
    }

    /// Adds to a line who calls, for which app and by which RPC, from where and with what.
    pub fn describe(&self, line: &mut Line, rpc: &str) {
        line.optional("caller", self.caller().map(|caller| &**caller))
            .optional("app", self.app())
            .text("rpc", rpc)
            .word("peer", self.peer().shown());
        if let Some(credential) = self.credential() {
            line.display("credential", credential);
        }
        line.optional("key", self.key().map(|key| &**key));
    }
}
