//! A team that has no table of users: everything by address, over servers that share a store,
//! one of which is killed in the middle.

use std::time::Duration;

use mesibo_grpc::proto::{
    CreateGroupRequest, DeleteUserTokenRequest, EditGroupMembersRequest, EditUserRequest,
    EntryState, GroupEntry, LookupGroupRequest, RegenerateUserTokenRequest,
    SearchGroupMembersRequest, SearchGroupsRequest, SearchUsersRequest, SendMessageRequest,
    edit_group_members_request::Action, lookup_user_request::Key, send_message_request::Recipient,
};
use tempfile::TempDir;
use tonic::Code;

use super::{Clients, Mesibo, reason, serve, sqlite};
use crate::support::{Backend, Postgres, Process, facade::soon, password_file, process::command};

/// Servers over one store.
struct Team {
    mesibo: Mesibo,
    backend: Backend,
    store: Vec<String>,
}

impl Team {
    fn over(store: Vec<String>) -> Self {
        let mesibo = Mesibo::default();
        Self {
            backend: mesibo.start(),
            mesibo,
            store,
        }
    }

    /// A server, once it reads the store: without optimisation, what a first connection to
    /// PostgreSQL takes for its password is longer than a call may on a busy machine.
    async fn serve(&self) -> (Process, Clients) {
        let server = serve(&self.backend, &self.store);
        let mut clients = Clients::of(&server).await;
        soon(async {
            let search = SearchUsersRequest::default;
            while clients.directory.search_users(search()).await.is_err() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        })
        .await;
        (server, clients)
    }

    fn run(&self, args: &[&str]) {
        let mut command = command(args);
        let output = command.args(&self.store).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

impl Clients {
    async fn edit(&mut self, address: &str, active: bool) {
        let edit = EditUserRequest {
            address: Some(address.into()),
            active: Some(active),
            ..EditUserRequest::default()
        };
        soon(self.users.edit_user(edit)).await.unwrap();
    }

    /// Deletes the user's tokens and makes another, whose user is this.
    async fn renew_token(&mut self, address: &str) -> u64 {
        let delete = DeleteUserTokenRequest {
            address: Some(address.into()),
            ..DeleteUserTokenRequest::default()
        };
        soon(self.users.delete_user_token(delete)).await.unwrap();
        let regenerate = RegenerateUserTokenRequest {
            address: Some(address.into()),
            app_id: "app".into(),
            ..RegenerateUserTokenRequest::default()
        };
        let token = soon(self.users.regenerate_user_token(regenerate)).await;
        token.unwrap().into_inner().uid
    }

    async fn send(&mut self, from: &str, to: &str) {
        let request = SendMessageRequest {
            from_address: from.into(),
            recipient: Some(Recipient::ToAddress(to.into())),
            message: "Hello".into(),
            ..SendMessageRequest::default()
        };
        soon(self.messages.send_message(request)).await.unwrap();
    }

    /// The addresses of users, in pages of two.
    async fn addresses(&mut self, active: Option<bool>) -> Vec<String> {
        let mut request = SearchUsersRequest {
            active,
            page_size: 2,
            ..SearchUsersRequest::default()
        };
        let mut addresses = Vec::new();
        loop {
            let page = soon(self.directory.search_users(request.clone())).await;
            let page = page.unwrap().into_inner();
            addresses.extend(page.users.into_iter().filter_map(|user| user.address));
            if page.next_page_token.is_empty() {
                return addresses;
            }
            request.page_token = page.next_page_token;
        }
    }

    async fn create_group(&mut self, name: &str, members: &[&str]) -> u64 {
        let group = CreateGroupRequest {
            name: Some(name.into()),
            members: members.iter().copied().map(Into::into).collect(),
            ..CreateGroupRequest::default()
        };
        let created = soon(self.groups.create_group(group)).await;
        created.unwrap().into_inner().gid
    }

    async fn edit_members(&mut self, gid: u64, member: &str, action: Action) {
        let edit = EditGroupMembersRequest {
            gid,
            members: vec![member.into()],
            action: action.into(),
            permissions: None,
        };
        soon(self.groups.edit_group_members(edit)).await.unwrap();
    }

    async fn groups_of(&mut self, member: &str) -> Vec<GroupEntry> {
        let request = SearchGroupsRequest {
            member_address: Some(member.into()),
            ..SearchGroupsRequest::default()
        };
        let groups = soon(self.directory.search_groups(request)).await;
        groups.unwrap().into_inner().groups
    }

    async fn members(&mut self, gid: u64) -> Vec<String> {
        let request = SearchGroupMembersRequest {
            gid,
            ..SearchGroupMembersRequest::default()
        };
        let members = soon(self.directory.search_group_members(request)).await;
        let members = members.unwrap().into_inner().members.into_iter();
        members.map(|member| member.address).collect()
    }
}

async fn works_by_address_over_two_servers_one_of_which_is_killed(store: Vec<String>) {
    let team = Team::over(store);
    let (first, one) = team.serve().await;
    let (second, mut other) = team.serve().await;
    let (one, gid) = all_is_done_by_address(&team, one, &mut other).await;

    one_is_killed_between_its_intent_and_its_answer(&team, first, one, &mut other).await;

    // One goes on, and a third takes the place of the other.
    let (third, mut new) = team.serve().await;
    assert_eq!(Some(new.renew_token("dave").await), team.mesibo.uid("dave"));
    new.send("dave", "alice").await;
    new.edit("alice", true).await;
    assert_eq!(other.addresses(Some(false)).await, Vec::<String>::new());
    new.edit_members(gid, "dave", Action::Add).await;
    other.edit_members(gid, "bob", Action::Remove).await;
    assert_eq!(new.members(gid).await, ["alice", "carol", "dave"]);

    other.delete("alice").await.unwrap();
    let status = new.entry("alice").await.unwrap_err();
    assert_eq!(reason(&status), (Code::NotFound, "NOT_IN_DIRECTORY".into()));
    assert_eq!(team.mesibo.uid("alice"), None);
    assert_eq!(new.groups_of("alice").await, []);
    assert_eq!(new.members(gid).await, ["carol", "dave"]);

    drop((second, third));
    let forget = ["store", "forget", "--app", "default", "--address", "dave"];
    team.run(&forget);
    let (_server, mut last) = team.serve().await;
    let status = last.entry("dave").await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(last.members(gid).await, ["carol"]);
}

/// What one server writes the other knows. Gives the gid of a group of alice, bob and carol.
async fn all_is_done_by_address(
    team: &Team,
    mut one: Clients,
    other: &mut Clients,
) -> (Clients, u64) {
    let uid = one.create("alice").await.unwrap();
    one.create("*").await.unwrap();
    let entry = other.entry("alice").await.unwrap();
    assert_eq!(
        (entry.uid, entry.state()),
        (Some(uid), EntryState::Confirmed)
    );
    assert_eq!(other.look_up(Key::Uid(uid)).await.unwrap(), entry);
    other.edit("alice", false).await;
    // Mesibo would take it for a wildcard.
    assert_eq!(Some(one.renew_token("*").await), team.mesibo.uid("*"));
    one.send("alice", "*").await;
    assert_eq!(one.addresses(Some(false)).await, ["alice"]);
    for address in ["bob", "carol"] {
        other.create(address).await.unwrap();
    }
    assert_eq!(one.addresses(None).await, ["*", "alice", "bob", "carol"]);

    let gid = one.create_group("friends", &["alice", "bob"]).await;
    other.edit_members(gid, "carol", Action::Add).await;
    let groups = one.groups_of("carol").await;
    assert_eq!((groups.len(), &*groups[0].name), (1, "friends"));
    assert_eq!(groups, other.groups_of("alice").await);
    let group = soon(one.directory.lookup_group(LookupGroupRequest { gid })).await;
    assert_eq!(group.unwrap().into_inner().group.as_ref(), Some(&groups[0]));
    assert_eq!(other.members(gid).await, ["alice", "bob", "carol"]);
    (one, gid)
}

async fn one_is_killed_between_its_intent_and_its_answer(
    team: &Team,
    first: Process,
    mut one: Clients,
    other: &mut Clients,
) {
    team.mesibo.be_silent(true);
    let killed = tokio::spawn(async move { one.create("dave").await });
    let in_doubt = other.in_state("dave", EntryState::Uncertain).await;
    assert_eq!(in_doubt.uid, None);
    soon(async {
        while team.mesibo.uid("dave").is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    // SIGKILL.
    drop(first);
    killed.await.unwrap().unwrap_err();
    team.mesibo.be_silent(false);
    // The other finds it out, once the lease has passed.
    let found = other.in_state("dave", EntryState::Confirmed).await;
    assert_eq!(found.uid, team.mesibo.uid("dave"));
}

#[tokio::test]
async fn a_team_works_by_address_over_two_servers_with_a_file_one_of_which_is_killed() {
    let folder = TempDir::new().unwrap();
    works_by_address_over_two_servers_one_of_which_is_killed(sqlite(&folder)).await;
}

#[tokio::test]
async fn a_team_works_by_address_over_two_servers_with_postgres_one_of_which_is_killed() {
    let Some(postgres) = Postgres::start() else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let store = [
        "--store",
        &postgres.url("postgres"),
        "--store-password-file",
        &password_file(&folder),
        "--store-timeout",
        "5s",
    ];
    works_by_address_over_two_servers_one_of_which_is_killed(store.map(Into::into).into()).await;
}
