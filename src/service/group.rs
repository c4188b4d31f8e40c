//! `GroupService`: groups and their members.

use mesibo::{
    Operation,
    operation::{GroupOptions, Permissions, op},
    reply::{self, FromReply},
};
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use super::{
    Upstream,
    once::Once,
    split,
    validation::{MAX_ENTRIES, Rules},
};
use crate::{
    call::{Asked, Context},
    proto::{
        CreateGroupRequest, CreateGroupResponse, DeleteGroupRequest, DeleteGroupResponse,
        EditGroupMembersRequest, EditGroupMembersResponse, EditGroupRequest, EditGroupResponse,
        GroupMember, ListGroupMembersRequest, ListGroupMembersResponse, MemberPermissions,
        edit_group_members_request::Action, group_service_server::GroupService,
    },
    status::Rule,
    store::directory::{self, GroupChange, Write},
};

/// The implementation of `GroupService`.
pub struct Groups {
    upstream: Upstream,
    once: Once,
}

impl Groups {
    /// The service, which calls Mesibo by `upstream`, and by `once` what has a
    /// `request_id`.
    #[must_use]
    pub fn new(upstream: Upstream, once: Once) -> Self {
        Self { upstream, once }
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
}

#[tonic::async_trait]
impl GroupService for Groups {
    async fn create_group(
        &self,
        request: Request<CreateGroupRequest>,
    ) -> Result<Response<CreateGroupResponse>, Status> {
        let (call, request) = split(request);
        let asked = for_members(&request.members);
        let mut rules = Rules::new(call, op::GROUP_ADD, &asked).await?;
        let expiry_seconds = rules.seconds("expiry", request.expiry);
        let expiryext_seconds = rules.seconds("expiry_extension", request.expiry_extension);
        rules.members(&request.members);
        let request_id = rules.request_id(request.request_id.as_deref());
        let call = rules.check().await?;

        let options = GroupOptions {
            name: request.name.as_deref(),
            flag: request.flags,
            expiry_seconds,
            expiryext_seconds,
            active: request.active,
        };
        let operation = Operation::group_add(&options, &request.members);
        let write = Write::CreateGroup {
            group: change(&options),
            members: request.members,
        };
        self.once
            .call(request_id, &call, operation, Some(write), |group| {
                CreateGroupResponse { gid: group.gid }
            })
            .await
    }

    async fn edit_group(
        &self,
        request: Request<EditGroupRequest>,
    ) -> Result<Response<EditGroupResponse>, Status> {
        let (call, request) = split(request);
        let mut rules = Rules::new(call, op::GROUP_SET, &Asked::PLAIN).await?;
        rules.id("gid", request.gid);
        let expiry_seconds = rules.seconds("expiry", request.expiry);
        let expiryext_seconds = rules.seconds("expiry_extension", request.expiry_extension);
        rules.at_least_one(&[
            ("name", request.name.is_some()),
            ("flags", request.flags.is_some()),
            ("expiry", request.expiry.is_some()),
            ("expiry_extension", request.expiry_extension.is_some()),
            ("active", request.active.is_some()),
        ]);
        let call = rules.check().await?;

        let options = GroupOptions {
            name: request.name.as_deref(),
            flag: request.flags,
            expiry_seconds,
            expiryext_seconds,
            active: request.active,
        };
        let operation = Operation::group_set(request.gid, &options);
        let write = Write::EditGroup {
            gid: request.gid,
            group: change(&options),
        };
        let group = self.write(&call, operation, write).await?;
        Ok(Response::new(EditGroupResponse { gid: group.gid }))
    }

    async fn delete_group(
        &self,
        request: Request<DeleteGroupRequest>,
    ) -> Result<Response<DeleteGroupResponse>, Status> {
        let (call, request) = split(request);
        let mut rules = Rules::new(call, op::GROUP_DEL, &Asked::PLAIN).await?;
        rules.id("gid", request.gid);
        let call = rules.check().await?;

        let operation = Operation::group_del(request.gid);
        let write = Write::DeleteGroup { gid: request.gid };
        self.write(&call, operation, write).await?;
        Ok(Response::new(DeleteGroupResponse {}))
    }

    async fn edit_group_members(
        &self,
        request: Request<EditGroupMembersRequest>,
    ) -> Result<Response<EditGroupMembersResponse>, Status> {
        let (call, request) = split(request);
        // A number that the contract does not know is no action either.
        let action = Action::try_from(request.action).unwrap_or(Action::Unspecified);
        let asked = for_members(&request.members);
        let mut rules = Rules::new(call, op::GROUP_EDIT_MEMBERS, &asked).await?;
        rules.id("gid", request.gid);
        rules.require(
            !request.members.is_empty(),
            Rule::Required,
            "members",
            "must have at least one entry",
        );
        rules.members(&request.members);
        rules.require(
            action != Action::Unspecified,
            if request.action == 0 {
                Rule::Required
            } else {
                Rule::UnknownValue
            },
            "action",
            "must be ACTION_ADD or ACTION_REMOVE",
        );
        rules.require(
            request.permissions.is_none() || action != Action::Remove,
            Rule::Conflict,
            "permissions",
            "may be set only with ACTION_ADD",
        );
        let call = rules.check().await?;

        let (gid, members) = (request.gid, request.members);
        let (operation, write) = if action == Action::Remove {
            let operation = Operation::group_remove_members(gid, &members);
            (operation, Write::RemoveMembers { gid, members })
        } else {
            let may = request.permissions.unwrap_or_default();
            let operation = Operation::group_add_members(gid, &members, &may.into());
            let permissions = directory::Permissions {
                can_send: may.can_send,
                can_receive: may.can_receive,
                can_publish: may.can_publish,
                can_subscribe: may.can_subscribe,
                can_list: may.can_list,
            };
            let write = Write::AddMembers {
                gid,
                members,
                permissions,
            };
            (operation, write)
        };
        self.write(&call, operation, write).await?;
        Ok(Response::new(EditGroupMembersResponse {}))
    }

    async fn list_group_members(
        &self,
        request: Request<ListGroupMembersRequest>,
    ) -> Result<Response<ListGroupMembersResponse>, Status> {
        let (call, request) = split(request);
        let mut rules = Rules::new(call, op::GROUP_GET_MEMBERS, &Asked::PLAIN).await?;
        rules.id("gid", request.gid);
        rules.count(request.count);
        let call = rules.check().await?;

        let operation = Operation::group_get_members(request.gid, request.count);
        let asked = Instant::now();
        let reply::Members(members) = self.upstream.read(&call, operation).await?;
        let recorder = self.upstream.recorder();
        recorder.saw_members(&call, asked, request.gid, &members);
        Ok(Response::new(ListGroupMembersResponse {
            members: members.into_iter().map(GroupMember::from).collect(),
        }))
    }
}

/// What these options set in the directory.
fn change(options: &GroupOptions) -> GroupChange {
    GroupChange {
        name: options.name.map(ToOwned::to_owned),
        flags: options.flag,
        active: options.active,
    }
}

/// What a request with these members asks for: one unit of a rate for each.
fn for_members(members: &[String]) -> Asked<'static> {
    Asked::PLAIN.for_each_of(members.len().min(MAX_ENTRIES))
}

impl From<MemberPermissions> for Permissions {
    fn from(permissions: MemberPermissions) -> Self {
        Self {
            cs: permissions.can_send,
            cr: permissions.can_receive,
            canpub: permissions.can_publish,
            cansub: permissions.can_subscribe,
            canlist: permissions.can_list,
        }
    }
}

impl From<reply::Member> for GroupMember {
    fn from(member: reply::Member) -> Self {
        Self {
            address: member.address,
            uid: member.uid,
            can_send: member.cansend,
            can_receive: member.canrecv,
        }
    }
}
