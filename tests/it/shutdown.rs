//! What goes on while the server stops, or while its workers are busy.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, mpsc},
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response};
use mesibo::Client;
use mesibo_grpc::{
    access::{Access, CallerMetrics},
    call::{App, Apps},
    proto::{
        DeleteUserRequest, user_service_client::UserServiceClient,
        user_service_server::UserServiceServer,
    },
    server::{RequestBody, Server, ServerMetrics, Services},
    telemetry::audit::AuditLog,
};
use tokio::sync::oneshot;
use tonic::{body::Body, codegen::BoxFuture, server::NamedService, transport::Endpoint};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower::Service;

use crate::support::{
    Answer, Backend, EVERYTHING, Process,
    facade::{config, soon, with_timeout},
};

#[tokio::test]
async fn a_write_whose_caller_gave_up_is_awaited_and_audited() {
    let delay = Duration::from_secs(2);
    let backend = Backend::always(Answer::After(delay, Box::new(Answer::ok(EVERYTHING))));
    let server = Process::serve(&backend.url(), &[]);
    let mut users = UserServiceClient::new(server.channel().await);
    let request = with_timeout(
        DeleteUserRequest {
            uid: 7,
            ..DeleteUserRequest::default()
        },
        "500m",
    );
    users.delete_user(request).await.unwrap_err();
    assert_eq!(backend.requests().len(), 1);

    server.signal("TERM");
    let (status, _, log) = server.wait();
    assert!(status.success(), "{log}");
    let line = log.lines().find(|line| line.contains("audit"));
    let line = line.unwrap_or_else(|| panic!("no audit line in {log}"));
    assert!(line.contains(r#"outcome="done""#), "{line}");
}

/// A service whose calls block their thread until the test lets go.
#[derive(Clone)]
struct Blocking {
    entered: Arc<Mutex<mpsc::Sender<()>>>,
    release: Arc<Mutex<mpsc::Receiver<()>>>,
}

impl NamedService for Blocking {
    const NAME: &'static str = UserServiceServer::<()>::NAME;
}

impl Service<Request<RequestBody>> for Blocking {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<RequestBody>) -> Self::Future {
        self.entered.lock().unwrap().send(()).unwrap();
        // The error is the end of the test.
        let _ = self.release.lock().unwrap().recv();
        Box::pin(async { Ok(Response::new(Body::empty())) })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_health_port_answers_while_every_worker_is_stalled() {
    let settings = [("health-listen", "127.0.0.1:0"), ("worker-threads", "1")];
    let config = config("http://127.0.0.1:1/", &settings);
    let (entered, is_entered) = mpsc::channel();
    let (release, is_released) = mpsc::channel();
    let services = Services::default().with(Blocking {
        entered: Arc::new(Mutex::new(entered)),
        release: Arc::new(Mutex::new(is_released)),
    });
    let apps = config.apps.into_iter().map(|app| App {
        name: app.upstream.app.clone(),
        label: app.upstream.app.clone(),
        client: Client::new(app.upstream, ()).unwrap(),
        rate: None,
    });
    let apps = Arc::new(Apps::new(apps.collect(), &config.default_app).unwrap());
    let access = Access::new(Vec::new(), apps, false, &CallerMetrics::default());
    let metrics = ServerMetrics::default();
    let server = Server::bind(config.server, &metrics).await.unwrap();
    let audit = AuditLog::start(config.audit, config.log_format).unwrap();
    let (grpc, probes) = (server.local_addr(), server.health_addr().unwrap());
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(async move {
        let stopped = async {
            let _ = stopped.await;
        };
        server
            .serve(services, access, audit, stopped, async {})
            .await
    });

    let channel = Endpoint::from_shared(format!("http://{grpc}")).unwrap();
    let mut users = UserServiceClient::new(channel.connect_lazy());
    let call = tokio::spawn(async move {
        users
            .delete_user(DeleteUserRequest {
                uid: 7,
                ..DeleteUserRequest::default()
            })
            .await
    });
    let stalled = tokio::task::spawn_blocking(move || is_entered.recv());
    soon(stalled).await.unwrap().unwrap();

    let channel = Endpoint::from_shared(format!("http://{probes}")).unwrap();
    let mut health = HealthClient::new(soon(channel.connect()).await.unwrap());
    soon(health.check(HealthCheckRequest::default()))
        .await
        .unwrap();

    drop((release, stop));
    let _ = soon(call).await;
    soon(serving).await.unwrap().unwrap();
}
