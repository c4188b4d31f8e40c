//! What the directory learns of the calls to Mesibo.

use std::{sync::Arc, time::Duration};

use mesibo::{Client, reply};
use tokio::time::{Instant, timeout};
use tonic::Code;

use crate::{
    call::{Context, Ending, Outcome},
    status::ErrorCodes,
    store::{
        Directory,
        directory::{Fate, Intent, Permissions, SeenMember, SeenUser, Write, Written},
    },
};

/// Records in the directory what calls write and see. Clones share the directory.
#[derive(Clone, Default)]
pub struct Recorder {
    directory: Option<Arc<dyn Directory>>,
    store_timeout: Duration,
}

impl Recorder {
    /// Records in `directory`, which has `store_timeout` to write.
    #[must_use]
    pub fn new(directory: Option<Arc<dyn Directory>>, store_timeout: Duration) -> Self {
        Self {
            directory,
            store_timeout,
        }
    }

    pub(super) fn directory(&self) -> Option<&Arc<dyn Directory>> {
        self.directory.as_ref()
    }

    /// Records that a write is about to be sent, which may go on beyond its call.
    pub(super) async fn begin(&self, call: &Context, write: Option<Write>) -> Option<Intent> {
        let directory = self.directory.as_ref()?;
        let left = call.deadline().saturating_duration_since(Instant::now());
        let lease = left + Client::MAX_DETACHED + self.store_timeout;
        let intent = directory.begin(Arc::clone(&call.app.name), write?, lease);
        Some(intent.await)
    }

    /// Waits until the end of a write is recorded, so that who has its answer finds it in the
    /// directory: no longer than the store has, and no longer than half of the call's time.
    pub(super) async fn wait(&self, call: &Context, written: Written) {
        let left = call.deadline().saturating_duration_since(Instant::now());
        let _ = timeout(self.store_timeout.min(left / 2), written).await;
    }

    /// Records users that Mesibo listed.
    pub(super) fn saw_users(&self, call: &Context, asked: Instant, users: &[reply::User]) {
        if let Some(directory) = &self.directory {
            let users = users.iter().filter_map(seen_user).collect();
            directory.saw_users(&call.app.name, asked, users);
        }
    }

    /// Records members that Mesibo listed.
    pub(super) fn saw_members(
        &self,
        call: &Context,
        asked: Instant,
        gid: u64,
        members: &[reply::Member],
    ) {
        if let Some(directory) = &self.directory {
            let members = members.iter().filter_map(seen_member).collect();
            directory.saw_members(&call.app.name, asked, gid, members);
        }
    }
}

/// What became of a write, as far as the directory is concerned.
pub(super) fn fate(ending: &Ending, codes: &ErrorCodes) -> Fate {
    let is_missing = |code: &str| codes.get(code) == Code::NotFound;
    match ending.outcome {
        Outcome::Done => Fate::Done { id: ending.id },
        Outcome::Unknown => Fate::Unknown,
        Outcome::NotDone if ending.code.as_deref().is_some_and(is_missing) => Fate::Missing,
        Outcome::NotDone => Fate::NotDone,
    }
}

/// A user in a list that says who it is.
pub(super) fn seen_user(user: &reply::User) -> Option<SeenUser> {
    Some(SeenUser {
        uid: user.uid?,
        address: user.address.clone().filter(|address| !address.is_empty())?,
        active: user.active,
        flags: user.flag,
    })
}

fn seen_member(member: &reply::Member) -> Option<SeenMember> {
    Some(SeenMember {
        address: member
            .address
            .clone()
            .filter(|address| !address.is_empty())?,
        permissions: Permissions {
            can_send: member.cansend,
            can_receive: member.canrecv,
            ..Permissions::default()
        },
    })
}
