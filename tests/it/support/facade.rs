//! The facade, as `serve` runs it, in front of a backend.

use std::{
    collections::HashMap,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, mpsc},
    time::Duration,
};

use http::Uri;
use hyper_util::{
    client::legacy::{Client as HttpClient, connect::HttpConnector},
    rt::TokioExecutor,
};
use mesibo::Client;
use mesibo_grpc::{
    access::{Access, CallerMetrics},
    call::{App, Apps},
    config::Config,
    proto::{
        group_service_client::GroupServiceClient, message_service_client::MessageServiceClient,
        user_service_client::UserServiceClient,
    },
    server::{Server, ServerMetrics, Services},
    telemetry::audit::AuditLog,
};
use tonic::{
    Request, Status,
    body::Body,
    service::Interceptor,
    transport::{Channel, Endpoint},
};

use super::{TOKEN, thread};

/// Completes when a facade is to stop.
type Stopped = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A running facade, and a channel to it.
pub struct Facade {
    server: thread::Server,
    pub channel: Channel,
}

impl Facade {
    /// A facade with default settings in front of a backend.
    pub fn new(upstream_url: &str) -> Self {
        Self::with(upstream_url, &[])
    }

    /// A facade with these settings in front of a backend.
    pub fn with(upstream_url: &str, settings: &[(&str, &str)]) -> Self {
        Self::of(config(upstream_url, settings))
    }

    /// A facade with these settings.
    pub fn of(config: Config) -> Self {
        let scheme = if config.server.tls.is_some() {
            "https"
        } else {
            "http"
        };
        Self::start(scheme, async move |tell, stopped| {
            let facade = mesibo_grpc::Facade::bind(config).await.unwrap();
            tell.send(facade.local_addr()).unwrap();
            facade.serve(stopped).await.unwrap();
        })
    }

    /// The server of a facade with these settings, around other services.
    pub fn serving(services: Services, config: Config) -> Self {
        Self::start("http", async move |tell, stopped| {
            let metrics = ServerMetrics::default();
            let server = Server::bind(config.server, &metrics).await.unwrap();
            tell.send(server.local_addr()).unwrap();
            let apps = config.apps.into_iter().map(|app| App {
                name: app.upstream.app.clone(),
                label: app.upstream.app.clone(),
                client: Client::new(app.upstream, ()).unwrap(),
                rate: None,
            });
            let apps = Apps::new(apps.collect(), &config.default_app).unwrap();
            let (apps, open) = (Arc::new(apps), config.open_reflection);
            let access = Access::new(config.callers, apps, open, &CallerMetrics::default());
            let audit = AuditLog::start(config.audit, config.log_format).unwrap();
            let serving = server.serve(services, access, audit, stopped, async {});
            serving.await.unwrap();
        })
    }

    fn start<F: Future<Output = ()>>(
        scheme: &str,
        serve: impl FnOnce(mpsc::Sender<SocketAddr>, Stopped) -> F + Send + 'static,
    ) -> Self {
        let server = thread::Server::start(async move |tell, stopped| {
            let stopped = Box::pin(async {
                let _ = stopped.await;
            });
            serve(tell, stopped).await;
        });
        let channel = Endpoint::from_shared(format!("{scheme}://{}", server.addr))
            .unwrap()
            .connect_lazy();
        Self { server, channel }
    }

    pub fn addr(&self) -> SocketAddr {
        self.server.addr
    }

    /// Begins a shutdown, as a signal does.
    pub fn shut_down(&mut self) {
        self.server.stop();
    }

    pub fn users(&self) -> UserServiceClient<Channel> {
        UserServiceClient::new(self.channel.clone())
    }

    pub fn groups(&self) -> GroupServiceClient<Channel> {
        GroupServiceClient::new(self.channel.clone())
    }

    pub fn messages(&self) -> MessageServiceClient<Channel> {
        MessageServiceClient::new(self.channel.clone())
    }
}

/// Settings as `serve` reads them, on a port that the system chooses.
pub fn config(upstream_url: &str, settings: &[(&str, &str)]) -> Config {
    let mut values = vec![("app-token", TOKEN), ("upstream-url", upstream_url)];
    values.extend(settings);
    config_of_apps(&values)
}

/// The same, for apps that have tables in a settings file.
pub fn config_of_apps(settings: &[(&str, &str)]) -> Config {
    let mut values = HashMap::from([
        ("listen", "127.0.0.1:0"),
        ("metrics-listen", "none"),
        // However many processors there are, for many run side by side.
        ("worker-threads", "2"),
        // A fixture that is dropped has no calls to wait for.
        ("lame-duck", "0s"),
        ("shutdown-grace", "1ms"),
        // Nobody reads it.
        ("audit-log", "/dev/null"),
    ]);
    values.extend(settings.iter().copied());
    Config::read(|setting| values.get(setting.name).map(ToString::to_string)).unwrap()
}

/// Fails a test that would otherwise hang.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(25), future)
        .await
        .expect("it happens within 25 seconds")
}

/// A client that leaves deadlines to the server: a tonic channel watches over them
/// itself, and answers first.
pub type Raw = HttpClient<HttpConnector, Body>;

/// Such a client, and the origin of the server.
pub fn raw(server: SocketAddr) -> (Raw, Uri) {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = HttpClient::builder(TokioExecutor::new())
        .http2_only(true)
        .build(connector);
    (client, format!("http://{server}").parse().unwrap())
}

/// Shows a key with every call.
#[derive(Clone, Copy)]
pub struct Bearer(pub &'static str);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let value = format!("Bearer {}", self.0).parse().unwrap();
        request.metadata_mut().insert("authorization", value);
        Ok(request)
    }
}

/// A request with a `grpc-timeout`.
pub fn with_timeout<T>(message: T, timeout: &str) -> Request<T> {
    let mut request = Request::new(message);
    let timeout = timeout.parse().unwrap();
    request.metadata_mut().insert("grpc-timeout", timeout);
    request
}
