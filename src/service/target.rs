//! Which user an operation is on.

use mesibo::{Operation, reply};
use tokio::time::Instant;
use tonic::Status;

use super::Upstream;
use crate::{call::Context, status, store::directory::UserKey};

/// Stands for any text in an address that is looked up at Mesibo.
const WILDCARD: char = '*';

/// A user, as a request names it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target<'a> {
    Uid(u64),
    Address(&'a str),
}

/// A user that was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct User {
    pub(super) uid: u64,
    /// Whether it is the directory that has this uid for the address.
    pub(super) is_from_directory: bool,
}

impl<'a> Target<'a> {
    /// The user of a request that breaks no rule.
    pub(super) fn of(uid: u64, address: Option<&'a str>) -> Self {
        address.map_or(Self::Uid(uid), Self::Address)
    }
}

impl Upstream {
    /// Finds the uid of the user that `op` is on: in the directory, or else at Mesibo.
    pub(super) async fn find_user(
        &self,
        call: &Context,
        op: &'static str,
        target: Target<'_>,
    ) -> Result<User, Status> {
        let address = match target {
            Target::Uid(uid) => {
                return Ok(User {
                    uid,
                    is_from_directory: false,
                });
            }
            Target::Address(address) => address,
        };
        let is_pattern = address.contains(WILDCARD);
        if let Some(directory) = self.recorder().directory() {
            let key = UserKey::Address(address);
            match directory.user(&call.app.name, key).await {
                Ok(entry) => {
                    if let Some(uid) = entry.and_then(|entry| entry.uid) {
                        return Ok(User {
                            uid,
                            is_from_directory: true,
                        });
                    }
                }
                Err(error) if is_pattern => {
                    call.record.upstream("store_failed");
                    return Err(status::directory_failed(&error).into_status(call.record.id()));
                }
                // Mesibo knows better, if later.
                Err(_) => {}
            }
        }
        let uid = if is_pattern {
            None
        } else {
            self.uid_at_mesibo(call, address).await?
        };
        let unknown = || status::unknown_address(op).into_status(call.record.id());
        Ok(User {
            uid: uid.ok_or_else(unknown)?,
            is_from_directory: false,
        })
    }

    async fn uid_at_mesibo(&self, call: &Context, address: &str) -> Result<Option<u64>, Status> {
        let asked = Instant::now();
        let operation = Operation::users_get(Some(address), None);
        let reply::Users(users) = self.read(call, operation).await?;
        self.recorder().saw_users(call, asked, &users);
        let mut users = users.iter();
        let user = users.find(|user| user.address.as_deref() == Some(address));
        Ok(user.and_then(|user| user.uid))
    }
}
