//! `DirectoryService`: what the facade itself knows of users, groups and members.

use std::sync::Arc;

use prost_types::Timestamp;
use tonic::{Request, Response, Status};

use super::{
    page::{self, Page, Query},
    split,
    validation::Rules,
};
use crate::{
    call::{Asked, Context},
    proto::{
        EntryState, GroupEntry, LookupGroupRequest, LookupGroupResponse, LookupUserRequest,
        LookupUserResponse, MemberEntry, MemberPermissions, SearchGroupMembersRequest,
        SearchGroupMembersResponse, SearchGroupsRequest, SearchGroupsResponse, SearchUsersRequest,
        SearchUsersResponse, UserEntry, directory_service_server::DirectoryService,
        lookup_user_request::Key,
    },
    status::{self, Rule},
    store::{
        self, Directory,
        directory::{GroupQuery, MemberQuery, UserKey, UserQuery},
    },
};

/// What statuses name as the operation. Nothing is sent to Mesibo.
const OP: &str = "directory";

/// The implementation of `DirectoryService`.
pub struct Entries {
    directory: Option<Arc<dyn Directory>>,
}

impl Entries {
    /// The service. Without a directory, every call is answered `NO_STORE`.
    #[must_use]
    pub fn new(directory: Option<Arc<dyn Directory>>) -> Self {
        Self { directory }
    }

    fn directory(&self, call: &Context) -> Result<&dyn Directory, Status> {
        self.directory
            .as_deref()
            .ok_or_else(|| status::no_store().into_status(call.record.id()))
    }
}

#[tonic::async_trait]
impl DirectoryService for Entries {
    async fn lookup_user(
        &self,
        request: Request<LookupUserRequest>,
    ) -> Result<Response<LookupUserResponse>, Status> {
        let (call, request) = split(request);
        let mut rules = Rules::new(call, OP, &Asked::PLAIN).await?;
        let key = match &request.key {
            Some(Key::Uid(uid)) => {
                rules.id("uid", *uid);
                UserKey::Uid(*uid)
            }
            Some(Key::Address(address)) => {
                rules.address("address", address);
                UserKey::Address(address)
            }
            None => {
                rules.require(false, Rule::Required, "key", "must be uid or address");
                // Never looked up, for the rule is broken.
                UserKey::Uid(0)
            }
        };
        let call = rules.check().await?;

        let user = self.directory(&call)?.user(&call.app.name, key).await;
        let user = user.map_err(|error| failed(&call, &error))?;
        let user = user.ok_or_else(|| missing(&call, "user"))?;
        Ok(Response::new(LookupUserResponse {
            user: Some(user.into()),
        }))
    }

    async fn search_users(
        &self,
        request: Request<SearchUsersRequest>,
    ) -> Result<Response<SearchUsersResponse>, Status> {
        let (call, request) = split(request);
        let mut rules = Rules::new(call, OP, &Asked::PLAIN).await?;
        let prefix = request.address_prefix.as_deref().unwrap_or_default();
        rules.prefix("address_prefix", prefix);
        let query = Query::new(rules.call(), &[prefix, active_name(request.active)]);
        let limit = rules.page_size(request.page_size);
        let after = rules.page_token(&query, &request.page_token, page::text);
        let call = rules.check().await?;

        let search = UserQuery {
            prefix,
            active: request.active,
            after: after.as_deref().unwrap_or_default(),
            limit: limit + 1,
        };
        let users = self.directory(&call)?.users(&call.app.name, search).await;
        let users = users.map_err(|error| failed(&call, &error))?;
        let page = Page::of(users, limit, |last| {
            query.token(last.address.as_deref().unwrap_or_default().as_bytes())
        });
        Ok(Response::new(SearchUsersResponse {
            users: page.entries,
            next_page_token: page.next,
        }))
    }

    async fn lookup_group(
        &self,
        request: Request<LookupGroupRequest>,
    ) -> Result<Response<LookupGroupResponse>, Status> {
        let (call, request) = split(request);
        let mut rules = Rules::new(call, OP, &Asked::PLAIN).await?;
        rules.id("gid", request.gid);
        let call = rules.check().await?;

        let directory = self.directory(&call)?;
        let group = directory.group(&call.app.name, request.gid).await;
        let group = group.map_err(|error| failed(&call, &error))?;
        let group = group.ok_or_else(|| missing(&call, "group"))?;
        Ok(Response::new(LookupGroupResponse {
            group: Some(group.into()),
        }))
    }

    async fn search_groups(
        &self,
        request: Request<SearchGroupsRequest>,
    ) -> Result<Response<SearchGroupsResponse>, Status> {
        let (call, request) = split(request);
        let mut rules = Rules::new(call, OP, &Asked::PLAIN).await?;
        let prefix = request.name_prefix.as_deref().unwrap_or_default();
        rules.prefix("name_prefix", prefix);
        if let Some(member) = &request.member_address {
            rules.address("member_address", member);
        }
        let member = request.member_address.as_deref();
        let query = Query::new(rules.call(), &[prefix, member.unwrap_or_default()]);
        let limit = rules.page_size(request.page_size);
        let after = rules.page_token(&query, &request.page_token, page::group);
        let call = rules.check().await?;

        let search = GroupQuery {
            prefix,
            member,
            after: after.as_ref().map(page::GroupKey::as_after),
            limit: limit + 1,
        };
        let groups = self.directory(&call)?.groups(&call.app.name, search).await;
        let groups = groups.map_err(|error| failed(&call, &error))?;
        let page = Page::of(groups, limit, |last| query.token(&page::of_group(last)));
        Ok(Response::new(SearchGroupsResponse {
            groups: page.entries,
            next_page_token: page.next,
        }))
    }

    async fn search_group_members(
        &self,
        request: Request<SearchGroupMembersRequest>,
    ) -> Result<Response<SearchGroupMembersResponse>, Status> {
        let (call, request) = split(request);
        let mut rules = Rules::new(call, OP, &Asked::PLAIN).await?;
        rules.id("gid", request.gid);
        let query = Query::new(rules.call(), &[&request.gid.to_string()]);
        let limit = rules.page_size(request.page_size);
        let after = rules.page_token(&query, &request.page_token, page::text);
        let call = rules.check().await?;

        let search = MemberQuery {
            gid: request.gid,
            after: after.as_deref().unwrap_or_default(),
            limit: limit + 1,
        };
        let members = self.directory(&call)?.members(&call.app.name, search).await;
        let members = members.map_err(|error| failed(&call, &error))?;
        let page = Page::of(members, limit, |last| query.token(last.address.as_bytes()));
        Ok(Response::new(SearchGroupMembersResponse {
            members: page.entries,
            next_page_token: page.next,
        }))
    }
}

fn failed(call: &Context, error: &store::Error) -> Status {
    call.record.upstream("store_failed");
    status::directory_failed(error).into_status(call.record.id())
}

fn missing(call: &Context, what: &str) -> Status {
    status::not_in_directory(what).into_status(call.record.id())
}

fn active_name(active: Option<bool>) -> &'static str {
    match active {
        None => "",
        Some(true) => "active",
        Some(false) => "inactive",
    }
}

fn state(is_confirmed: bool) -> i32 {
    let state = if is_confirmed {
        EntryState::Confirmed
    } else {
        EntryState::Uncertain
    };
    state.into()
}

impl From<store::directory::UserEntry> for UserEntry {
    fn from(user: store::directory::UserEntry) -> Self {
        Self {
            uid: user.uid,
            address: user.address,
            name: user.name,
            active: user.active,
            flags: user.flags,
            state: state(user.is_confirmed),
            created: Some(Timestamp::from(user.created)),
            changed: Some(Timestamp::from(user.changed)),
        }
    }
}

impl From<store::directory::GroupEntry> for GroupEntry {
    fn from(group: store::directory::GroupEntry) -> Self {
        Self {
            gid: group.gid,
            name: group.name,
            active: group.active,
            flags: group.flags,
            state: state(group.is_confirmed),
            created: Some(Timestamp::from(group.created)),
            changed: Some(Timestamp::from(group.changed)),
        }
    }
}

impl From<store::directory::MemberEntry> for MemberEntry {
    fn from(member: store::directory::MemberEntry) -> Self {
        let may = member.permissions;
        Self {
            address: member.address,
            permissions: Some(MemberPermissions {
                can_send: may.can_send,
                can_receive: may.can_receive,
                can_publish: may.can_publish,
                can_subscribe: may.can_subscribe,
                can_list: may.can_list,
            }),
            state: state(member.is_confirmed),
            created: Some(Timestamp::from(member.created)),
            changed: Some(Timestamp::from(member.changed)),
        }
    }
}
