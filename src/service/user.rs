//! `UserService`: users and their access tokens.

use mesibo::{
    Operation,
    operation::{UserAdd, op},
    reply::{self, FromReply},
};
use prost_types::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Instant;
use tonic::{Request, Response, Status, Streaming};

use super::{
    Upstream, split,
    streams::{self, Answers, Outcome, StreamLimits, Streamed},
    target::Target,
    validation::{Checks, Rules},
};
use crate::{
    call::{Asked, Context},
    proto::{
        CreateUserRequest, CreateUserResponse, CreateUsersRequest, CreateUsersResponse,
        DeleteUserRequest, DeleteUserResponse, DeleteUserTokenRequest, DeleteUserTokenResponse,
        EditUserRequest, EditUserResponse, ListUsersRequest, ListUsersResponse,
        RegenerateUserTokenRequest, RegenerateUserTokenResponse, User,
        create_users_response::Result as ItemResult, user_service_server::UserService,
    },
    status,
    store::directory::Write,
};

/// What is sent to delete a user's token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenDeletion {
    /// `usertoken` with `delete=1`, as the vendor's console does. The user stays.
    UserToken,
    /// `userdel`, as the vendor's documentation prints it, for a server that knows
    /// it by that. Any other deletes the user.
    UserDel,
}

/// The implementation of `UserService`.
#[derive(Clone)]
pub struct Users {
    upstream: Upstream,
    token_deletion: TokenDeletion,
    limits: StreamLimits,
}

/// A user that may be created.
pub(super) struct Admitted {
    call: Context,
    operation: Operation<reply::UserToken>,
    write: Write,
}

impl Users {
    /// The service, which calls Mesibo by `upstream`, and whose streams have these limits.
    #[must_use]
    pub fn new(upstream: Upstream, token_deletion: TokenDeletion, limits: StreamLimits) -> Self {
        Self {
            upstream,
            token_deletion,
            limits,
        }
    }

    async fn write<R: FromReply>(
        &self,
        call: &Context,
        operation: Operation<R>,
        write: Write,
    ) -> Result<R, Status> {
        let reply = self.upstream.call(call, operation, Some(write)).await;
        reply.map_err(|draft| draft.into_status(call.record.id()))
    }

    /// Carries out an operation on a user, whom an address may name.
    async fn on_user<R: FromReply>(
        &self,
        call: &Context,
        op: &'static str,
        target: Target<'_>,
        operation: impl FnOnce(u64) -> (Operation<R>, Write),
    ) -> Result<R, Status> {
        let user = self.upstream.find_user(call, op, target).await?;
        let (operation, write) = operation(user.uid);
        let reply = self.upstream.call(call, operation, Some(write)).await;
        reply.map_err(|draft| {
            let draft = if user.is_from_directory && draft.is_not_found() {
                status::of_stale_entry(draft)
            } else {
                draft
            };
            draft.into_status(call.record.id())
        })
    }
}

impl Streamed for Users {
    type Request = CreateUserRequest;
    type Admitted = Admitted;
    type Response = CreateUserResponse;
    type Item = CreateUsersRequest;
    type Answer = CreateUsersResponse;

    async fn admit(call: Context, request: CreateUserRequest) -> Result<Admitted, Status> {
        let asked = Asked::to_grant(Some(&request.app_id));
        let mut rules = Rules::new(call, op::USER_ADD, &asked).await?;
        let expiry_minutes = check(&mut rules, &request);
        let call = rules.check().await?;

        let operation = Operation::user_add(&UserAdd {
            addr: &request.address,
            appid: &request.app_id,
            expiry_minutes,
            active: request.active,
            groups: request.max_groups,
            name: request.name.as_deref(),
        });
        let write = Write::CreateUser {
            address: request.address,
            name: request.name,
            active: request.active,
        };
        Ok(Admitted {
            call,
            operation,
            write,
        })
    }

    async fn carry_out(&self, admitted: Admitted) -> Result<Response<CreateUserResponse>, Status> {
        let Admitted {
            call,
            operation,
            write,
        } = admitted;
        let user = self.write(&call, operation, write).await?;
        Ok(Response::new(CreateUserResponse {
            uid: user.uid,
            access_token: expose(&user.token),
        }))
    }

    fn open(item: CreateUsersRequest) -> (String, CreateUserRequest) {
        // One that is missing breaks the rules of all fields.
        (item.key, item.request.unwrap_or_default())
    }

    fn answer(key: String, outcome: Outcome<CreateUserResponse>) -> CreateUsersResponse {
        let result = outcome.result;
        let result = result.map_or_else(ItemResult::Status, ItemResult::Response);
        CreateUsersResponse {
            key,
            result: Some(result),
        }
    }
}

#[tonic::async_trait]
impl UserService for Users {
    type CreateUsersStream = Answers<CreateUsersResponse>;

    async fn create_user(
        &self,
        request: Request<CreateUserRequest>,
    ) -> Result<Response<CreateUserResponse>, Status> {
        let (call, request) = split(request);
        let admitted = Self::admit(call, request).await?;
        self.carry_out(admitted).await
    }

    async fn create_users(
        &self,
        request: Request<Streaming<CreateUsersRequest>>,
    ) -> Result<Response<Self::CreateUsersStream>, Status> {
        Ok(streams::answer(self, self.limits, request))
    }

    async fn edit_user(
        &self,
        request: Request<EditUserRequest>,
    ) -> Result<Response<EditUserResponse>, Status> {
        let (call, request) = split(request);
        let mut rules = Rules::new(call, op::USER_SET, &Asked::PLAIN).await?;
        rules.uid_or_address(request.uid, request.address.as_deref());
        rules.at_least_one(&[
            ("flags", request.flags.is_some()),
            ("active", request.active.is_some()),
        ]);
        let call = rules.check().await?;

        let (flags, active) = (request.flags, request.active);
        let target = Target::of(request.uid, request.address.as_deref());
        self.on_user(&call, op::USER_SET, target, |uid| {
            let write = Write::EditUser { uid, flags, active };
            (Operation::user_set(uid, flags, active), write)
        })
        .await?;
        Ok(Response::new(EditUserResponse {}))
    }

    async fn delete_user(
        &self,
        request: Request<DeleteUserRequest>,
    ) -> Result<Response<DeleteUserResponse>, Status> {
        let (call, request) = split(request);
        let mut rules = Rules::new(call, op::USER_DEL, &Asked::PLAIN).await?;
        rules.uid_or_address(request.uid, request.address.as_deref());
        let call = rules.check().await?;

        let target = Target::of(request.uid, request.address.as_deref());
        self.on_user(&call, op::USER_DEL, target, |uid| {
            (Operation::user_del(uid), Write::DeleteUser { uid })
        })
        .await?;
        Ok(Response::new(DeleteUserResponse {}))
    }

    async fn delete_user_token(
        &self,
        request: Request<DeleteUserTokenRequest>,
    ) -> Result<Response<DeleteUserTokenResponse>, Status> {
        let (call, request) = split(request);
        let app_id = request.app_id.as_deref();
        let (op, asked) = match self.token_deletion {
            TokenDeletion::UserToken => (op::USER_TOKEN, Asked::to_grant(app_id)),
            // It takes the tokens of every app along.
            TokenDeletion::UserDel => (op::USER_DEL, Asked::to_grant(None)),
        };
        let mut rules = Rules::new(call, op, &asked).await?;
        rules.uid_or_address(request.uid, request.address.as_deref());
        if let Some(app_id) = app_id {
            rules.app_id("app_id", app_id);
        }
        let call = rules.check().await?;

        let target = Target::of(request.uid, request.address.as_deref());
        self.on_user(&call, op, target, |uid| match self.token_deletion {
            TokenDeletion::UserToken => {
                let operation = Operation::user_token_delete(uid, app_id);
                (
                    operation,
                    Write::UserToken {
                        uid,
                        may_delete: false,
                    },
                )
            }
            // A server that knows it by that leaves the user in place, and any other does
            // not.
            TokenDeletion::UserDel => (
                Operation::user_del(uid),
                Write::UserToken {
                    uid,
                    may_delete: true,
                },
            ),
        })
        .await?;
        Ok(Response::new(DeleteUserTokenResponse {}))
    }

    async fn regenerate_user_token(
        &self,
        request: Request<RegenerateUserTokenRequest>,
    ) -> Result<Response<RegenerateUserTokenResponse>, Status> {
        let (call, request) = split(request);
        let asked = Asked::to_grant(Some(&request.app_id));
        let mut rules = Rules::new(call, op::USER_TOKEN, &asked).await?;
        rules.uid_or_address(request.uid, request.address.as_deref());
        rules.app_id("app_id", &request.app_id);
        let call = rules.check().await?;

        let target = Target::of(request.uid, request.address.as_deref());
        let user = self
            .on_user(&call, op::USER_TOKEN, target, |uid| {
                let operation = Operation::user_token(uid, &request.app_id);
                (
                    operation,
                    Write::UserToken {
                        uid,
                        may_delete: false,
                    },
                )
            })
            .await?;
        Ok(Response::new(RegenerateUserTokenResponse {
            uid: user.uid,
            access_token: expose(&user.token),
        }))
    }

    async fn list_users(
        &self,
        request: Request<ListUsersRequest>,
    ) -> Result<Response<ListUsersResponse>, Status> {
        let (call, request) = split(request);
        let mut rules = Rules::new(call, op::USERS_GET, &Asked::PLAIN).await?;
        if let Some(pattern) = &request.address_pattern {
            rules.address("address_pattern", pattern);
        }
        rules.count(request.count);
        let call = rules.check().await?;

        let operation = Operation::users_get(request.address_pattern.as_deref(), request.count);
        let asked = Instant::now();
        let reply::Users(users) = self.upstream.read(&call, operation).await?;
        self.upstream.recorder().saw_users(&call, asked, &users);
        Ok(Response::new(ListUsersResponse {
            users: users.into_iter().map(|user| listed(&call, user)).collect(),
        }))
    }
}

/// The rules of a user that it breaks, by field, without those that are about its caller.
#[must_use]
pub fn problems(request: &CreateUserRequest) -> Vec<(String, String)> {
    let mut checks = Checks::default();
    check(&mut checks, request);
    checks.problems()
}

/// The rules that the uid and the address of a user break, by field.
#[must_use]
pub fn existing_problems(uid: u64, address: &str) -> Vec<(String, String)> {
    let mut checks = Checks::default();
    checks.id("uid", uid);
    checks.address("address", address);
    checks.problems()
}

/// Checks the rules of a user, and gives the expiry of its token in minutes.
fn check(rules: &mut Checks, request: &CreateUserRequest) -> Option<u64> {
    rules.address("address", &request.address);
    rules.app_id("app_id", &request.app_id);
    rules.minutes("token_expiry", request.token_expiry)
}

/// A user as its row has it, with its token if the caller may read it.
fn listed(call: &Context, user: reply::User) -> User {
    let may_read_token = call.gate.may_read_token(call, user.appid.as_deref());
    let token = user.token.as_ref().filter(|_| may_read_token);
    User {
        uid: user.uid,
        address: user.address,
        active: user.active,
        flags: user.flag,
        online: user.online,
        last_online: user.last_online.map(Timestamp::from),
        pinned: user.pinned,
        access_token: token.map(expose),
        app_id: user.appid,
        ip_address: user.ipaddr,
        name: user.name,
    }
}

/// A user's token goes to a caller who may have it.
fn expose(token: &SecretString) -> String {
    token.expose_secret().to_owned()
}
