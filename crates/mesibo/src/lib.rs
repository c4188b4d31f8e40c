#![doc = include_str!("../README.md")]

mod call;
mod config;
mod error;
mod net;
mod observer;
mod wire;

pub use call::{Client, State};
pub use config::{Config, Protocol, Proxy, is_loopback};
pub use error::{Error, Failure, chain};
pub use observer::Observer;
pub use wire::{Idempotency, Operation};

/// The operations of the API: [`Operation`] has a constructor for each.
///
/// Parameters bear the names and units of the wire, as in the
/// [vendor's documentation](https://docs.mesibo.com/api/backend-api/). One that is `None`
/// is not sent, so that Mesibo's default holds.
pub mod operation {
    pub use crate::wire::{
        GroupOptions, Idempotency, Message, Operation, Permissions, Recipient, UserAdd, op,
    };
}

/// What the replies to the operations hold.
///
/// [`Client::call`] gives the type that the operation promises. [`read`](reply::read) is for
/// programs that have the body of a reply from elsewhere.
pub mod reply {
    pub use crate::wire::{
        Done, FromReply, Group, Member, Members, NotDone, Sent, User, UserToken, Users, read,
    };
}
