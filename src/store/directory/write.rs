//! What changes the directory.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{sync::oneshot, time::Instant};

use super::entry::Permissions;

/// A write at Mesibo, with what it sets. What is `None` stays as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Adds a user, or makes a token for one that exists.
    CreateUser {
        /// Its address.
        address: String,
        /// Its display name.
        name: Option<String>,
        /// Whether it is enabled.
        active: Option<bool>,
    },
    /// Changes a user.
    EditUser {
        /// Its id.
        uid: u64,
        /// Mesibo's flags.
        flags: Option<u32>,
        /// Whether it is enabled.
        active: Option<bool>,
    },
    /// Deletes a user, with its places in groups.
    DeleteUser {
        /// Its id.
        uid: u64,
    },
    /// Makes or deletes tokens of a user, which are not kept.
    UserToken {
        /// Its id.
        uid: u64,
        /// Whether it may have deleted the user: it is looked up then.
        may_delete: bool,
    },
    /// Adds a group.
    CreateGroup {
        /// What it is.
        group: GroupChange,
        /// The addresses of its first members.
        members: Vec<String>,
    },
    /// Changes a group.
    EditGroup {
        /// Its id.
        gid: u64,
        /// What changes.
        group: GroupChange,
    },
    /// Deletes a group, with its members.
    DeleteGroup {
        /// Its id.
        gid: u64,
    },
    /// Adds members to a group, or changes what they may do.
    AddMembers {
        /// The group's id.
        gid: u64,
        /// The members' addresses.
        members: Vec<String>,
        /// What they may do.
        permissions: Permissions,
    },
    /// Removes members from a group.
    RemoveMembers {
        /// The group's id.
        gid: u64,
        /// The members' addresses.
        members: Vec<String>,
    },
}

/// What a write of a group sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupChange {
    /// The name.
    pub name: Option<String>,
    /// Mesibo's flags.
    pub flags: Option<u32>,
    /// Whether it is enabled.
    pub active: Option<bool>,
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was carried out. A write that creates has the id of what it created.
    Done {
        /// The uid or gid that Mesibo gave.
        id: Option<u64>,
    },
    /// It was surely not carried out.
    NotDone,
    /// It was not carried out, for Mesibo does not have what it names.
    Missing,
    /// It may have been carried out.
    Unknown,
}

/// A user as a list of Mesibo's has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenUser {
    /// Its id.
    pub uid: u64,
    /// Its address.
    pub address: String,
    /// Whether it is enabled.
    pub active: Option<bool>,
    /// Mesibo's flags.
    pub flags: Option<u32>,
}

/// A member as a list of Mesibo's has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenMember {
    /// Its address.
    pub address: String,
    /// What it may do.
    pub permissions: Permissions,
}

/// The record that a write is about to be sent, and the duty to say what became of it.
///
/// One that is dropped settles itself: as not done before [`Intent::sending`], and as
/// unknown afterwards.
pub struct Intent {
    recorded: Option<Recorded>,
    is_sending: bool,
    sink: Arc<dyn Sink>,
}

/// Resolves when reads find a settlement, or it is given up: when it is durable, unless no
/// other process reads, and Mesibo can be asked again. Dropping it changes nothing.
#[must_use = "the settlement is written in the background unless it is awaited"]
pub struct Written(Option<oneshot::Receiver<()>>);

/// A write with its app and its ticket.
#[derive(Clone, Debug)]
pub(super) struct Recorded {
    pub(super) app: Arc<str>,
    pub(super) ticket: i64,
    pub(super) write: Arc<Write>,
    /// Whether it may have been sent before its intent was written. Other writes of the same
    /// entry may then have come between, so that it confirms nothing.
    pub(super) is_late: bool,
}

/// A random ticket, which is positive.
pub(super) fn new_ticket() -> i64 {
    fastrand::i64(1..)
}

/// Takes settlements. It neither fails nor blocks.
pub(super) trait Sink: Send + Sync {
    fn settle(&self, recorded: Recorded, fate: Fate) -> Written;
}

/// When something was asked for, by this process's clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked(pub(super) Instant);

impl Asked {
    /// How long ago it was, in milliseconds.
    pub(super) fn age(self) -> i64 {
        i64::try_from(self.0.elapsed().as_millis()).unwrap_or(i64::MAX / 2)
    }
}

impl Write {
    /// Whether Mesibo is asked for what it made if the process ends before it has recorded the
    /// answer. Mesibo would take a `*` for a wildcard.
    pub(super) fn is_found_again(&self) -> bool {
        matches!(self, Self::CreateUser { address, .. } if !address.contains('*'))
    }
}

impl Intent {
    pub(super) fn new(recorded: Recorded, sink: Arc<dyn Sink>) -> Self {
        Self {
            recorded: Some(recorded),
            is_sending: false,
            sink,
        }
    }

    /// The write may be sent before its intent is written.
    pub(super) fn set_late(&mut self) {
        if let Some(recorded) = &mut self.recorded {
            recorded.is_late = true;
        }
    }

    /// From here on the write may be sent.
    pub fn sending(&mut self) {
        self.is_sending = true;
    }

    /// Records what became of the write.
    pub fn settle(mut self, fate: Fate) -> Written {
        self.end(fate)
    }

    fn end(&mut self, fate: Fate) -> Written {
        let Some(mut recorded) = self.recorded.take() else {
            return Written::AT_ONCE;
        };
        // A group that is being made is known by its ticket alone.
        if recorded.is_late && !matches!(*recorded.write, Write::CreateGroup { .. }) {
            recorded.ticket = new_ticket();
        }
        self.sink.settle(recorded, fate)
    }
}

impl Drop for Intent {
    fn drop(&mut self) {
        let fate = if self.is_sending {
            Fate::Unknown
        } else {
            Fate::NotDone
        };
        drop(self.end(fate));
    }
}

impl Written {
    /// There is nothing to wait for.
    pub(super) const AT_ONCE: Self = Self(None);

    pub(super) fn once(is_written: oneshot::Receiver<()>) -> Self {
        Self(Some(is_written))
    }
}

impl Future for Written {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Some(is_written) => Pin::new(is_written).poll(cx).map(drop),
            None => Poll::Ready(()),
        }
    }
}

impl fmt::Debug for Intent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intent")
            .field("recorded", &self.recorded)
            .field("is_sending", &self.is_sending)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Written").finish_non_exhaustive()
    }
}
