//! `UserService`: users and their access tokens.

use mesibo::{
    Operation,
    operation::{UserAdd, op},
    reply,
};
use prost_types::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use tonic::{Request, Response, Status};

use super::{Upstream, allowed, split, validation::Rules};
use crate::proto::{
    CreateUserRequest, CreateUserResponse, DeleteUserRequest, DeleteUserResponse,
    DeleteUserTokenRequest, DeleteUserTokenResponse, EditUserRequest, EditUserResponse,
    ListUsersRequest, ListUsersResponse, RegenerateUserTokenRequest, RegenerateUserTokenResponse,
    User, user_service_server::UserService,
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
pub struct Users {
    upstream: Upstream,
    token_deletion: TokenDeletion,
}

impl Users {
    /// The service, which calls Mesibo by `upstream`.
    #[must_use]
    pub fn new(upstream: Upstream, token_deletion: TokenDeletion) -> Self {
        Self {
            upstream,
            token_deletion,
        }
    }
}

#[tonic::async_trait]
impl UserService for Users {
    async fn create_user(
        &self,
        request: Request<CreateUserRequest>,
    ) -> Result<Response<CreateUserResponse>, Status> {
        let (call, request) = split(request);
        let mut rules = Rules::new(&call, op::USER_ADD);
        rules.address("address", &request.address);
        rules.app_id("app_id", &request.app_id);
        let expiry_minutes = rules.minutes("token_expiry", request.token_expiry);
        rules.check()?;
        allowed(
            &call,
            call.gate.may_grant(&call.caller, Some(&request.app_id)),
        )?;

        let operation = Operation::user_add(&UserAdd {
            addr: &request.address,
            appid: &request.app_id,
            expiry_minutes,
            active: request.active,
            groups: request.max_groups,
            name: request.name.as_deref(),
        });
        let user = self.upstream.call(&call, operation).await?;
        Ok(Response::new(CreateUserResponse {
            uid: user.uid,
            access_token: expose(&user.token),
        }))
    }

    async fn edit_user(
        &self,
        request: Request<EditUserRequest>,
    ) -> Result<Response<EditUserResponse>, Status> {
        let (call, request) = split(request);
        let mut rules = Rules::new(&call, op::USER_SET);
        rules.id("uid", request.uid);
        rules.at_least_one(&[
            ("flags", request.flags.is_some()),
            ("active", request.active.is_some()),
        ]);
        rules.check()?;

        let operation = Operation::user_set(request.uid, request.flags, request.active);
        self.upstream.call(&call, operation).await?;
        Ok(Response::new(EditUserResponse {}))
    }

    async fn delete_user(
        &self,
        request: Request<DeleteUserRequest>,
    ) -> Result<Response<DeleteUserResponse>, Status> {
        let (call, request) = split(request);
        let mut rules = Rules::new(&call, op::USER_DEL);
        rules.id("uid", request.uid);
        rules.check()?;

        let operation = Operation::user_del(request.uid);
        self.upstream.call(&call, operation).await?;
        Ok(Response::new(DeleteUserResponse {}))
    }

    async fn delete_user_token(
        &self,
        request: Request<DeleteUserTokenRequest>,
    ) -> Result<Response<DeleteUserTokenResponse>, Status> {
        let (call, request) = split(request);
        let mut rules = Rules::new(
            &call,
            match self.token_deletion {
                TokenDeletion::UserToken => op::USER_TOKEN,
                TokenDeletion::UserDel => op::USER_DEL,
            },
        );
        rules.id("uid", request.uid);
        if let Some(app_id) = &request.app_id {
            rules.app_id("app_id", app_id);
        }
        rules.check()?;

        let app_id = request.app_id.as_deref();
        let operation = match self.token_deletion {
            TokenDeletion::UserToken => {
                allowed(&call, call.gate.may_grant(&call.caller, app_id))?;
                Operation::user_token_delete(request.uid, app_id)
            }
            TokenDeletion::UserDel => {
                // It takes the tokens of every app along.
                allowed(&call, call.gate.may_grant(&call.caller, None))?;
                Operation::user_del(request.uid)
            }
        };
        self.upstream.call(&call, operation).await?;
        Ok(Response::new(DeleteUserTokenResponse {}))
    }

    async fn regenerate_user_token(
        &self,
        request: Request<RegenerateUserTokenRequest>,
    ) -> Result<Response<RegenerateUserTokenResponse>, Status> {
        let (call, request) = split(request);
        let mut rules = Rules::new(&call, op::USER_TOKEN);
        rules.id("uid", request.uid);
        rules.app_id("app_id", &request.app_id);
        rules.check()?;
        allowed(
            &call,
            call.gate.may_grant(&call.caller, Some(&request.app_id)),
        )?;

        let operation = Operation::user_token(request.uid, &request.app_id);
        let user = self.upstream.call(&call, operation).await?;
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
        let mut rules = Rules::new(&call, op::USERS_GET);
        if let Some(pattern) = &request.address_pattern {
            rules.address("address_pattern", pattern);
        }
        rules.count(request.count);
        rules.check()?;

        let operation = Operation::users_get(request.address_pattern.as_deref(), request.count);
        let reply::Users(users) = self.upstream.call(&call, operation).await?;
        Ok(Response::new(ListUsersResponse {
            users: users.into_iter().map(User::from).collect(),
        }))
    }
}

impl From<reply::User> for User {
    fn from(user: reply::User) -> Self {
        Self {
            uid: user.uid,
            address: user.address,
            active: user.active,
            flags: user.flag,
            online: user.online,
            last_online: user.last_online.map(Timestamp::from),
            pinned: user.pinned,
            app_id: user.appid,
            access_token: user.token.as_ref().map(expose),
            ip_address: user.ipaddr,
        }
    }
}

/// A user's token goes to the caller who asked for it.
fn expose(token: &SecretString) -> String {
    token.expose_secret().to_owned()
}
