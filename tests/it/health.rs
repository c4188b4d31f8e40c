//! Health and reflection, as orchestrators and tools see them.

use std::collections::HashMap;

use mesibo_grpc::proto::{
    DeleteUserRequest,
    health::{HealthCheckResponse, HealthListRequest, health_client},
    user_service_client::UserServiceClient,
};
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::{v1, v1alpha};

use crate::support::{Answer, Backend, Facade, facade::soon};

const NAMES: [&str; 6] = [
    "",
    "mesibo.v1.DirectoryService",
    "mesibo.v1.UserService",
    "mesibo.v1.GroupService",
    "mesibo.v1.MessageService",
    "grpc.health.v1.Health",
];

fn of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: service.into(),
    }
}

#[tokio::test]
async fn the_server_and_each_service_serve_whatever_mesibo_does() {
    let facade = Facade::new("http://127.0.0.1:1/");
    let mut health = HealthClient::new(facade.channel.clone());
    for name in NAMES {
        let response = health.check(of(name)).await.unwrap().into_inner();
        assert_eq!(response.status(), ServingStatus::Serving, "{name}");
    }
}

#[tokio::test]
async fn a_list_has_all_that_a_check_knows() {
    let facade = Facade::new("http://127.0.0.1:1/");
    let mut health = health_client::HealthClient::new(facade.channel.clone());
    let response = health
        .list(HealthListRequest {})
        .await
        .unwrap()
        .into_inner();
    let serving = HealthCheckResponse {
        status: ServingStatus::Serving.into(),
    };
    let expected = NAMES.map(|name| (name.to_owned(), serving));
    assert_eq!(response.statuses, HashMap::from(expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_sees_the_shutdown_first_and_does_not_hold_it_up() {
    let mut facade = Facade::with("http://127.0.0.1:1/", &[("shutdown-grace", "60s")]);
    let mut health = HealthClient::new(facade.channel.clone());
    for name in NAMES {
        let mut watch = health.watch(of(name)).await.unwrap().into_inner();
        let first = soon(watch.message()).await.unwrap().unwrap();
        assert_eq!(first.status(), ServingStatus::Serving, "{name}");
    }
    let mut watch = health.watch(of("")).await.unwrap().into_inner();
    soon(watch.message()).await.unwrap().unwrap();
    facade.shut_down();
    let last = soon(watch.message()).await.unwrap().unwrap();
    assert_eq!(last.status(), ServingStatus::NotServing);
    assert!(soon(watch.message()).await.unwrap().is_none());
    soon(tokio::task::spawn_blocking(move || drop(facade)))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_lame_duck_serves_new_connections_and_says_that_it_does_not_serve() {
    let backend = Backend::always(Answer::ok("OK"));
    let settings = [("lame-duck", "3s"), ("shutdown-grace", "60s")];
    let mut facade = Facade::with(&backend.url(), &settings);
    let mut watch = HealthClient::new(facade.channel.clone())
        .watch(of(""))
        .await
        .unwrap()
        .into_inner();
    soon(watch.message()).await.unwrap().unwrap();
    facade.shut_down();
    let last = soon(watch.message()).await.unwrap().unwrap();
    assert_eq!(last.status(), ServingStatus::NotServing);

    let address = format!("http://{}", facade.addr());
    let fresh = Endpoint::from_shared(address.clone()).unwrap();
    let fresh = soon(fresh.connect()).await.unwrap();
    let response = HealthClient::new(fresh.clone()).check(of("")).await;
    assert_eq!(
        response.unwrap().get_ref().status(),
        ServingStatus::NotServing
    );
    let mut users = UserServiceClient::new(fresh);
    users
        .delete_user(DeleteUserRequest {
            uid: 7,
            ..DeleteUserRequest::default()
        })
        .await
        .unwrap();

    assert!(soon(watch.message()).await.unwrap().is_none());
    // The port closes with the end of the watch, which may be seen a moment sooner.
    let late = Endpoint::from_shared(address).unwrap();
    soon(async { while late.connect().await.is_ok() {} }).await;
}

#[tokio::test]
async fn a_watch_of_an_unknown_service_stays_open() {
    let facade = Facade::new("http://127.0.0.1:1/");
    let mut health = HealthClient::new(facade.channel.clone());
    let mut watch = health.watch(of("nothing")).await.unwrap().into_inner();
    let first = soon(watch.message()).await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::ServiceUnknown);
    let more = tokio::time::timeout(std::time::Duration::from_millis(100), watch.message());
    assert!(more.await.is_err(), "the watch goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_in_flight_finish_at_a_shutdown() {
    let (answer, wait) = std::sync::mpsc::channel();
    let wait = std::sync::Mutex::new(wait);
    let backend = Backend::scripted(move |_| {
        wait.lock().unwrap().recv().unwrap();
        Answer::ok("OK")
    });
    let mut facade = Facade::with(&backend.url(), &[("shutdown-grace", "60s")]);
    let mut watch = HealthClient::new(facade.channel.clone())
        .watch(of(""))
        .await
        .unwrap()
        .into_inner();
    soon(watch.message()).await.unwrap().unwrap();

    let mut users = facade.users();
    let call = tokio::spawn(async move {
        users
            .delete_user(DeleteUserRequest {
                uid: 7,
                ..DeleteUserRequest::default()
            })
            .await
    });
    soon(backend.got(1)).await;
    facade.shut_down();
    let last = soon(watch.message()).await.unwrap().unwrap();
    assert_eq!(last.status(), ServingStatus::NotServing);
    answer.send(()).unwrap();
    soon(call).await.unwrap().unwrap();
    soon(tokio::task::spawn_blocking(move || drop(facade)))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_grace_period_ends_what_does_not_end_by_itself() {
    let backend = Backend::always(Answer::Hang);
    let mut facade = Facade::with(&backend.url(), &[("shutdown-grace", "300ms")]);
    // A connection that never says a word.
    let _silent = tokio::net::TcpStream::connect(facade.addr()).await.unwrap();
    let mut users = facade.users();
    let call = tokio::spawn(async move {
        users
            .delete_user(DeleteUserRequest {
                uid: 7,
                ..DeleteUserRequest::default()
            })
            .await
    });
    soon(backend.got(1)).await;
    facade.shut_down();
    soon(tokio::task::spawn_blocking(move || drop(facade)))
        .await
        .unwrap();
    assert!(soon(call).await.unwrap().is_err());
    soon(backend.hung_up(1)).await;
}

#[tokio::test]
async fn reflection_lists_and_describes_the_services_in_both_versions() {
    let facade = Facade::new("http://127.0.0.1:1/");
    let listed = reflected_v1(facade.channel.clone()).await;
    assert_eq!(listed, reflected_v1alpha(facade.channel.clone()).await);
    for name in &NAMES[1..] {
        assert!(listed.contains(&(*name).to_owned()), "{listed:?}");
    }
}

/// The services that a version of reflection lists, each of which it describes. The
/// versions have types of their own, alike but for their names.
macro_rules! reflected {
    ($name:ident, $version:ident) => {
        async fn $name(channel: Channel) -> Vec<String> {
            use $version::{
                ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
                server_reflection_request::MessageRequest,
                server_reflection_response::MessageResponse,
            };
            let ask = async |request| {
                let request = ServerReflectionRequest {
                    host: String::new(),
                    message_request: Some(request),
                };
                let response = ServerReflectionClient::new(channel.clone())
                    .server_reflection_info(tokio_stream::iter([request]))
                    .await
                    .unwrap();
                let response = response.into_inner().message().await.unwrap().unwrap();
                response.message_response.unwrap()
            };
            let services = MessageRequest::ListServices(String::new());
            let MessageResponse::ListServicesResponse(services) = ask(services).await else {
                panic!("no list")
            };
            let mut names = Vec::new();
            for service in services.service {
                if !service.name.starts_with("grpc.reflection.") {
                    let symbol = MessageRequest::FileContainingSymbol(service.name.clone());
                    let MessageResponse::FileDescriptorResponse(_) = ask(symbol).await else {
                        panic!("no description of {}", service.name)
                    };
                    names.push(service.name);
                }
            }
            names.sort();
            names
        }
    };
}

reflected!(reflected_v1, v1);
reflected!(reflected_v1alpha, v1alpha);
