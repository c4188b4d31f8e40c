//! What holds for every RPC holds for those of `DirectoryService`: who may call them, for
//! which app, how often and for how long, and what is counted. `access/permissions.rs` has
//! each of them, too, without a directory.

use std::time::Duration;

use mesibo_grpc::{
    access::key::KeyHash,
    proto::{
        CreateGroupRequest, CreateUserRequest, EditUserRequest, LookupGroupRequest,
        LookupUserRequest, SearchGroupMembersRequest, SearchGroupsRequest, SearchUsersRequest,
        directory_service_client::DirectoryServiceClient, group_service_client::GroupServiceClient,
        lookup_user_request::Key, user_service_client::UserServiceClient,
    },
};
use sqlx::{ConnectOptions as _, Executor as _, postgres::PgConnectOptions};
use tempfile::TempDir;
use tonic::{
    Code, Request, Status, body::Body, client::GrpcService, codegen::StdError, transport::Channel,
};
use tonic_types::StatusExt as _;

use super::{reason, sqlite};
use crate::{
    access::{ADMIN, Fixture, bearer},
    support::{
        Answer, Backend, EVERYTHING, Facade, Postgres, Process,
        facade::{raw, soon},
        get, password_file,
        postgres::PASSWORD,
        told,
    },
};

/// The gid in [`EVERYTHING`].
const GID: u64 = 102_529;

/// The RPCs, in the order of [`found`].
const METHODS: [&str; 5] = [
    "LookupUser",
    "SearchUsers",
    "LookupGroup",
    "SearchGroups",
    "SearchGroupMembers",
];

/// Who calls, for which app, and for how long.
#[derive(Clone, Copy, Default)]
struct As<'a> {
    key: Option<&'a str>,
    app: Option<&'a str>,
    timeout: Option<&'a str>,
}

impl<'a> As<'a> {
    fn caller(key: &'a str) -> Self {
        Self {
            key: Some(key),
            ..Self::default()
        }
    }

    fn for_app(self, app: &'a str) -> Self {
        Self {
            app: Some(app),
            ..self
        }
    }

    fn call<T>(self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let values = [
            ("authorization", self.key.map(bearer)),
            ("mesibo-app", self.app.map(Into::into)),
            ("grpc-timeout", self.timeout.map(Into::into)),
        ];
        for (name, value) in values {
            if let Some(value) = value {
                request.metadata_mut().insert(name, value.parse().unwrap());
            }
        }
        request
    }
}

/// How many entries each RPC finds: of the user alice, of all users, of the group, of all
/// groups, and of the group's members.
async fn found<T>(client: &T, who: As<'_>) -> [Result<usize, Status>; 5]
where
    T: Clone + GrpcService<Body>,
    T::Error: Into<StdError>,
    T::ResponseBody: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    <T::ResponseBody as http_body::Body>::Error: Into<StdError> + Send,
{
    let mut directory = DirectoryServiceClient::new(client.clone());
    let alice = LookupUserRequest {
        key: Some(Key::Address("alice".into())),
    };
    let gid = SearchGroupMembersRequest {
        gid: GID,
        ..SearchGroupMembersRequest::default()
    };
    let user = soon(directory.lookup_user(who.call(alice))).await;
    let users = soon(directory.search_users(who.call(SearchUsersRequest::default()))).await;
    let group = LookupGroupRequest { gid: GID };
    let group = soon(directory.lookup_group(who.call(group))).await;
    let groups = soon(directory.search_groups(who.call(SearchGroupsRequest::default()))).await;
    let members = soon(directory.search_group_members(who.call(gid))).await;
    [
        user.map(|_| 1),
        users.map(|found| found.into_inner().users.len()),
        group.map(|_| 1),
        groups.map(|found| found.into_inner().groups.len()),
        members.map(|found| found.into_inner().members.len()),
    ]
}

/// The reasons of what was refused, and none of what was not.
fn reasons(found: [Result<usize, Status>; 5]) -> [Option<String>; 5] {
    found.map(|found| found.err().map(|status| told(&status).2))
}

/// A table of a caller, and its key.
fn caller(name: &str, rest: &str) -> (String, String) {
    let key = format!("mgk_s3ntinel_{name}");
    let hash = KeyHash::of(key.as_bytes());
    let table = format!("[callers.{name}]\nkeys = [\"{hash}\"]\n{rest}\n");
    (table, key)
}

/// Two apps, shop and support, with a directory, and these tables besides.
struct Shops {
    fixture: Fixture,
    _folder: TempDir,
}

impl Shops {
    fn with(tables: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let store = &sqlite(&folder)[1];
        Self {
            fixture: Fixture::with(Answer::ok(EVERYTHING), tables, &[("store", store)]),
            _folder: folder,
        }
    }

    fn channel(&self) -> &Channel {
        &self.fixture.facade.channel
    }

    /// Makes a user and a group of two for shop.
    async fn fill(&self) {
        fill(self.channel(), As::caller(ADMIN)).await;
    }
}

/// Makes the user alice, and a group of alice and bob.
async fn fill(channel: &Channel, who: As<'_>) {
    let create = CreateUserRequest {
        address: "alice".into(),
        app_id: "demo".into(),
        ..CreateUserRequest::default()
    };
    let mut users = UserServiceClient::new(channel.clone());
    soon(users.create_user(who.call(create))).await.unwrap();
    let group = CreateGroupRequest {
        members: vec!["alice".into(), "bob".into()],
        ..CreateGroupRequest::default()
    };
    let mut groups = GroupServiceClient::new(channel.clone());
    soon(groups.create_group(who.call(group))).await.unwrap();
}

#[tokio::test]
async fn what_one_app_has_is_not_to_be_seen_or_used_from_another() {
    let shops = Shops::with("");
    shops.fill().await;
    let admin = As::caller(ADMIN);
    for shop in [admin, admin.for_app("shop")] {
        let found = found(shops.channel(), shop).await.map(Result::unwrap);
        assert_eq!(found, [1, 1, 1, 1, 2]);
    }
    let support = admin.for_app("support");
    let [user, users, group, groups, members] = found(shops.channel(), support).await;
    for missing in [user, group] {
        let status = missing.unwrap_err();
        assert_eq!(reason(&status), (Code::NotFound, "NOT_IN_DIRECTORY".into()));
    }
    assert_eq!([users, groups, members].map(Result::unwrap), [0, 0, 0]);
    let sent = shops.fixture.shop.requests().len();
    let edit = EditUserRequest {
        address: Some("alice".into()),
        active: Some(false),
        ..EditUserRequest::default()
    };
    let mut users = UserServiceClient::new(shops.channel().clone());
    let status = soon(users.edit_user(support.call(edit))).await.unwrap_err();
    assert_eq!(reason(&status), (Code::NotFound, "UNKNOWN_ADDRESS".into()));
    assert_eq!(shops.fixture.shop.requests().len(), sent);
}

#[tokio::test]
async fn a_caller_sees_what_its_rpcs_and_its_apps_let_it_whomever_it_may_send_as() {
    let (one_rpc, looker) = caller(
        "looker",
        "may-call = [\"mesibo.v1.DirectoryService/LookupUser\"]\napps = [\"support\"]",
    );
    let (no_sender, reader) = caller(
        "directory",
        "may-call = [\"mesibo.v1.DirectoryService/*\"]\nfrom-addresses = [\"nobody\"]\n\
         app-ids = [\"none\"]",
    );
    let shops = Shops::with(&(one_rpc + &no_sender));
    shops.fill().await;
    let some = |reason: &str| Some(reason.to_owned());
    let looker = As::caller(&looker);
    // Its app is the right one for none of the others.
    let in_support = reasons(found(shops.channel(), looker.for_app("support")).await);
    let denied = || some("RPC_NOT_ALLOWED");
    assert_eq!(
        in_support,
        [
            some("NOT_IN_DIRECTORY"),
            denied(),
            denied(),
            denied(),
            denied()
        ]
    );
    let [in_shop, ..] = reasons(found(shops.channel(), looker).await);
    assert_eq!(in_shop, some("APP_NOT_ALLOWED"));
    let reader = As::caller(&reader);
    let found = found(shops.channel(), reader).await.map(Result::unwrap);
    assert_eq!(found, [1, 1, 1, 1, 2]);
    let edit = EditUserRequest {
        address: Some("alice".into()),
        active: Some(false),
        ..EditUserRequest::default()
    };
    let mut users = UserServiceClient::new(shops.channel().clone());
    let status = soon(users.edit_user(reader.call(edit))).await.unwrap_err();
    assert_eq!(told(&status).2, "RPC_NOT_ALLOWED");
}

#[tokio::test]
async fn each_call_counts_for_the_rate_of_its_caller_and_of_its_app() {
    // One a quarter of an hour, after one of each. For the app, what fills the directory
    // comes before: a user, and a group that counts for its two members.
    let rate = |burst| format!("rate = 0.001\nburst = {burst}\n");
    let (slow, slow_key) = caller("slow", &format!("may-call = [\"*\"]\n{}", rate(5)));
    for (tables, key, limit) in [(slow, &*slow_key, "caller"), (rate(8), ADMIN, "app")] {
        let shops = Shops::with(&tables);
        shops.fill().await;
        let who = As::caller(key);
        let first = found(shops.channel(), who).await.map(Result::unwrap);
        assert_eq!(first, [1, 1, 1, 1, 2]);
        for status in found(shops.channel(), who).await {
            let (code, _, reason, metadata) = told(&status.unwrap_err());
            assert_eq!((code, &*reason), (Code::ResourceExhausted, "RATE_LIMITED"));
            assert_eq!(metadata["limit"], limit);
        }
    }
}

#[tokio::test]
async fn a_page_token_is_of_one_caller_and_one_app() {
    let (other, other_key) = caller("other", "may-call = [\"*\"]");
    let shops = Shops::with(&other);
    shops.fill().await;
    let mut directory = DirectoryServiceClient::new(shops.channel().clone());
    let mut request = SearchGroupMembersRequest {
        gid: GID,
        page_size: 1,
        ..SearchGroupMembersRequest::default()
    };
    let admin = As::caller(ADMIN);
    let first = directory.search_group_members(admin.call(request.clone()));
    request.page_token = soon(first).await.unwrap().into_inner().next_page_token;
    for who in [As::caller(&other_key), admin.for_app("support")] {
        let wrong = directory.search_group_members(who.call(request.clone()));
        let status = soon(wrong).await.unwrap_err();
        let details = status.get_error_details();
        let violations = &details.bad_request().unwrap().field_violations;
        assert_eq!(violations[0].field, "page_token", "{status:?}");
    }
    let next = directory.search_group_members(admin.call(request));
    let members = soon(next).await.unwrap().into_inner().members;
    assert_eq!(members[0].address, "bob");
}

#[tokio::test]
async fn a_call_ends_at_its_deadline_and_a_write_goes_on_while_the_database_is_busy() {
    let Some(postgres) = Postgres::start() else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let password = password_file(&folder);
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let url = postgres.url("postgres");
    let settings = [
        ("store", &*url),
        ("store-password-file", &*password),
        ("store-timeout", "2s"),
    ];
    let facade = Facade::with(&backend.url(), &settings);
    fill(&facade.channel, As::default()).await;

    let options: PgConnectOptions = url.parse().unwrap();
    let mut connection = options.password(PASSWORD).connect().await.unwrap();
    connection.execute("BEGIN").await.unwrap();
    let lock = "LOCK TABLE directory_users, directory_groups, directory_members";
    connection.execute(lock).await.unwrap();
    // A client that leaves deadlines to the server.
    let (client, origin) = raw(facade.addr());
    let look_up = async |timeout| {
        let mut directory = DirectoryServiceClient::with_origin(client.clone(), origin.clone());
        let who = As {
            timeout: Some(timeout),
            ..As::default()
        };
        let alice = LookupUserRequest {
            key: Some(Key::Address("alice".into())),
        };
        let status = soon(directory.lookup_user(who.call(alice)))
            .await
            .unwrap_err();
        let has_retry_info = status.get_error_details().retry_info().is_some();
        let (code, _, reason, metadata) = told(&status);
        assert!(!metadata.contains_key("outcome"), "{status:?}");
        (code, reason, has_retry_info)
    };
    for timeout in ["0n", "300m"] {
        let expected = (
            Code::DeadlineExceeded,
            "DEADLINE_EXCEEDED".to_owned(),
            false,
        );
        assert_eq!(look_up(timeout).await, expected, "{timeout}");
    }
    let expected = (Code::Unavailable, "STORE_UNAVAILABLE".to_owned(), true);
    assert_eq!(look_up("20S").await, expected);
    fill(&facade.channel, As::default()).await;

    drop(connection);
    let alice = async || found(&facade.channel, As::default()).await[0].is_ok();
    soon(async {
        while !alice().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn each_call_is_counted_and_logged_once_and_reaches_neither_mesibo_nor_the_audit() {
    let backend = Backend::always(Answer::ok(EVERYTHING));
    let folder = TempDir::new().unwrap();
    let store = &sqlite(&folder)[1];
    let settings = ["--store", store, "--metrics-listen", "127.0.0.1:0"];
    let server = Process::serve(&backend.url(), &settings);
    let channel = server.channel().await;
    fill(&channel, As::default()).await;
    let sent = backend.requests().len();
    let found = found(&channel, As::default()).await.map(Result::unwrap);
    assert_eq!(found, [1, 1, 1, 1, 2]);
    assert_eq!(backend.requests().len(), sent);

    // A call is counted and logged after its answer.
    let is_told = async || {
        let metrics = get(server.logged_address("metrics="), "/metrics").await;
        let log = server.log();
        METHODS.iter().all(|method| {
            let counted = metrics.lines().any(|line| {
                line.starts_with("grpc_server_handled_total{")
                    && line.contains(&format!("grpc_method=\"{method}\""))
                    && line.contains("grpc_code=\"OK\"")
                    && line.ends_with("} 1")
            });
            let rpc = format!("mesibo.v1.DirectoryService/{method}");
            counted && log.matches(&rpc).count() == 1
        })
    };
    soon(async {
        while !is_told().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let log = server.log();
    let audited = log
        .lines()
        .filter(|line| line.contains("mesibo_grpc::audit"));
    assert_eq!(audited.count(), 2, "{log}");
}
