//! Puts the parts together, as the settings say.

use std::{error, fmt, io, mem, net::SocketAddr, path::PathBuf, sync::Arc};

use futures_util::future::join_all;
use mesibo::{Client, chain};
use prometheus_client::{metrics::info::Info, registry::Registry};
use tokio::task::JoinSet;

use crate::{
    access::{Access, CallerMetrics},
    call::{App, Apps, MakeApp},
    config::{
        Config,
        apps::{AppConfig, WorldApps},
        callers::CallerFile,
    },
    proto::{
        directory_service_server::DirectoryServiceServer, group_service_server::GroupServiceServer,
        message_service_server::MessageServiceServer, user_service_server::UserServiceServer,
    },
    reload::{self, Kind, Reload, ReloadMetrics},
    server::{
        Server, ServerMetrics, Services, WorkerDied,
        net::tls::{
            Tls,
            notice::{self, ExpiryMetric},
        },
    },
    service::{
        Once, Recorder, ServiceMetrics, StreamLimits, TokenDeletion, Upstream,
        directory::Entries,
        group::Groups,
        lookups::{LookupMetrics, Lookups},
        message::Messages,
        user::Users,
    },
    store::{self, Directory, OpenError, Store, StoreMetrics, metrics::Queues},
    telemetry::{
        self,
        audit::AuditLog,
        exporter::Exporter,
        metrics::PREFIX,
        process::ProcessMetrics,
        upstream::{States, UpstreamMetrics},
    },
};

/// The name in metrics of all apps that no setting names, which no app can have.
const OTHER_APPS: &str = "(other)";

/// A facade that is bound to its ports, but does not serve yet.
pub struct Facade {
    server: Server,
    services: Services,
    access: Access,
    apps: Arc<Apps>,
    tls: Option<Tls>,
    reloads: Vec<Reload>,
    reload_metrics: ReloadMetrics,
    exporter: Option<(Exporter, Registry)>,
    audit: AuditLog,
    store: Arc<dyn Store>,
    lookups: Option<Lookups>,
}

/// Why a facade was not bound.
#[derive(Debug)]
pub struct BindError {
    text: String,
    may_pass: bool,
}

/// What is made of the settings before a file is made, the store is opened, or a port is
/// bound.
struct Parts {
    apps: Arc<Apps>,
    access: Access,
    reloads: Vec<Reload>,
}

/// The metrics of all parts.
#[derive(Default)]
struct Metrics {
    server: ServerMetrics,
    callers: CallerMetrics,
    service: ServiceMetrics,
    upstream: UpstreamMetrics,
    store: StoreMetrics,
    lookups: LookupMetrics,
    reload: ReloadMetrics,
}

impl Facade {
    /// Binds the ports, and gets everything ready.
    ///
    /// # Errors
    ///
    /// If anything that a setting names cannot be used, in a line that names the setting.
    pub async fn bind(mut config: Config) -> Result<Self, BindError> {
        let metrics = Metrics::default();
        let Parts {
            apps,
            access,
            reloads,
        } = Parts::open(&mut config, &metrics)?;
        let audit = AuditLog::start(config.audit, config.log_format)
            .map_err(|mistake| format!("audit-log: {mistake}"))?;
        let mut registry = Registry::default();
        let tls = config.server.tls.clone();
        if let Some(tls) = &tls {
            let own = registry.sub_registry_with_prefix(PREFIX);
            own.register_collector(Box::new(ExpiryMetric(tls.clone())));
        }
        metrics.register(&mut registry, &apps);
        audit.register(registry.sub_registry_with_prefix(PREFIX));
        registry
            .sub_registry_with_prefix(PREFIX)
            .register_collector(Box::new(access.key_times()));

        let opened = store::open_all(&config.store, Arc::new(metrics.store.clone())).await?;
        let (store, directory) = (opened.store, opened.directory);
        registry
            .sub_registry_with_prefix(PREFIX)
            .register_collector(Box::new(Queues(Arc::clone(&store))));
        let max_request_bytes = config.server.limits.max_request_bytes;
        let server = Server::bind(config.server, &metrics.server)
            .await
            .map_err(|(setting, error)| BindError::of_port(setting, &error))?;
        let exporter = match config.metrics_listen {
            None => None,
            Some(listen) => Some((bind_exporter(listen).await?, registry)),
        };
        let lookups = directory.clone().map(|directory| {
            Lookups::new(
                directory,
                Arc::clone(&apps),
                config.error_codes.clone(),
                config.store.lookup_interval,
                metrics.lookups.clone(),
            )
        });
        let recorder = Recorder::new(directory.clone(), config.store.timeout);
        let upstream =
            Upstream::new(config.error_codes, metrics.service, audit.clone()).recording(recorder);
        let once = Once::new(upstream.clone(), Arc::clone(&store), config.store.timeout);
        Ok(Self {
            server,
            services: services(
                upstream,
                once,
                directory.clone(),
                config.token_deletion,
                config.streams,
                max_request_bytes,
            ),
            access,
            apps,
            tls,
            reloads,
            reload_metrics: metrics.reload,
            exporter,
            audit,
            store,
            lookups,
        })
    }

    /// The store of calls with a `request_id`.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The address of the gRPC port.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// The address of the port for health, if there is one.
    #[must_use]
    pub fn health_addr(&self) -> Option<SocketAddr> {
        self.server.health_addr()
    }

    /// The address of the metrics port, if there is one.
    #[must_use]
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        let (exporter, _) = self.exporter.as_ref()?;
        Some(exporter.local_addr())
    }

    /// Serves until `shutdown` completes. Then health says `NOT_SERVING`, and calls in
    /// flight finish, with the writes that go on beyond their calls, within the grace
    /// period. Then the store writes the outcomes that it has not written yet.
    ///
    /// # Errors
    ///
    /// If a worker thread died, which ends the facade as `shutdown` does.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<(), WorkerDied> {
        // They end with this function.
        let mut background = JoinSet::new();
        background.spawn(reload::watch(self.reloads, self.reload_metrics));
        let access = self.access.clone();
        background.spawn(async move { access.warn_of_key_ends().await });
        let audit = self.audit.clone();
        background.spawn(async {
            if let Err(error) = audit.reopen_on_hangup().await {
                tracing::error!(%error, "the audit is not opened again at a SIGHUP");
            }
        });
        if let Some(tls) = self.tls {
            background.spawn(notice::watch(tls));
        }
        if let Some(lookups) = self.lookups {
            background.spawn(lookups.run());
        }
        if let Some((exporter, registry)) = self.exporter {
            background.spawn(exporter.serve(registry));
        }
        let apps = self.apps;
        let drained = async {
            join_all(apps.clients().iter().map(Client::drained)).await;
        };
        let served = self
            .server
            .serve(self.services, self.access, self.audit, shutdown, drained)
            .await;
        self.store.close().await;
        served
    }
}

impl Parts {
    /// Opens them, and takes their settings.
    fn open(config: &mut Config, metrics: &Metrics) -> Result<Self, String> {
        let mut reloads = Vec::new();
        if let Some(tls) = &config.server.tls {
            reloads.push(reload_of_certificate(tls.clone())?);
        }
        let apps = open_apps(mem::take(&mut config.apps), &metrics.upstream, &mut reloads)?;
        let mut apps =
            Apps::new(apps, &config.default_app).ok_or("default-app: expected one of the apps")?;
        if let Some(worlds) = config.worlds.take() {
            apps = apps.making(maker(worlds, metrics.upstream.clone()));
        }
        let apps = Arc::new(apps);
        let access = Access::new(
            mem::take(&mut config.callers),
            Arc::clone(&apps),
            config.open_reflection,
            &metrics.callers,
        );
        if let Some(file) = config.caller_file.take() {
            reloads.push(reload_of_callers(file, access.clone())?);
        }
        Ok(Self {
            apps,
            access,
            reloads,
        })
    }
}

/// Does what [`Facade::bind`] does before it makes a file, opens the store or binds a port,
/// and gives the apps.
pub(crate) fn rehearse(mut config: Config) -> Result<Arc<Apps>, String> {
    Parts::open(&mut config, &Metrics::default()).map(|parts| parts.apps)
}

impl BindError {
    /// Whether the same settings may do later: something does not answer, or an address is
    /// in use.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        self.may_pass
    }

    fn of_port(setting: &str, error: &io::Error) -> Self {
        use io::ErrorKind::{AddrInUse, AddrNotAvailable};
        Self {
            text: format!("{setting}: {error}"),
            may_pass: matches!(error.kind(), AddrInUse | AddrNotAvailable),
        }
    }
}

impl From<String> for BindError {
    /// A wrong setting.
    fn from(text: String) -> Self {
        Self {
            text,
            may_pass: false,
        }
    }
}

impl From<OpenError> for BindError {
    fn from(error: OpenError) -> Self {
        Self {
            text: format!("store: {error}"),
            may_pass: matches!(error, OpenError::Unreachable(_)),
        }
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl error::Error for BindError {}

impl Metrics {
    fn register(&self, registry: &mut Registry, apps: &Apps) {
        registry.register_collector(Box::new(ProcessMetrics));
        self.server.register(registry);
        let own = registry.sub_registry_with_prefix(PREFIX);
        self.callers.register(own);
        self.service.register(own, apps);
        self.upstream.register(own);
        self.store.register(own);
        self.lookups.register(own, apps);
        own.register_collector(Box::new(States(apps.clients())));
        self.reload.register(own);
        telemetry::register(own);
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        own.register("build", "The program that runs", build);
    }
}

/// The services of the contract, none of which takes a request message above
/// `max_request_bytes`.
fn services(
    upstream: Upstream,
    once: Once,
    directory: Option<Arc<dyn Directory>>,
    token_deletion: TokenDeletion,
    streams: StreamLimits,
    max_request_bytes: usize,
) -> Services {
    let users = UserServiceServer::new(Users::new(upstream.clone(), token_deletion, streams));
    let groups = GroupServiceServer::new(Groups::new(upstream, once.clone()));
    let messages = MessageServiceServer::new(Messages::new(once, streams));
    let entries = DirectoryServiceServer::new(Entries::new(directory));
    Services::default()
        .with(users.max_decoding_message_size(max_request_bytes))
        .with(groups.max_decoding_message_size(max_request_bytes))
        .with(messages.max_decoding_message_size(max_request_bytes))
        .with(entries.max_decoding_message_size(max_request_bytes))
}

/// The port for metrics.
async fn bind_exporter(listen: SocketAddr) -> Result<Exporter, BindError> {
    Exporter::bind(listen).await.map_err(|error| {
        let text = format!("cannot listen on {listen}: {error}; set another address, or none");
        BindError::of_port("metrics-listen", &io::Error::new(error.kind(), text))
    })
}

/// The apps with their clients, whose tokens are read again when their files change.
fn open_apps(
    configs: Vec<AppConfig>,
    metrics: &UpstreamMetrics,
    reloads: &mut Vec<Reload>,
) -> Result<Vec<App>, String> {
    let open = |config: AppConfig| {
        let token_file = config.token_file.clone();
        let app = open_app(config, metrics)?;
        if let Some(file) = token_file {
            reloads.push(reload_of_token(file, app.client.clone())?);
        }
        Ok(app)
    };
    configs.into_iter().map(open).collect()
}

/// An app with its client.
fn open_app(config: AppConfig, metrics: &UpstreamMetrics) -> Result<App, String> {
    let AppConfig { upstream, rate, .. } = config;
    let name = Arc::clone(&upstream.app);
    tracing::info!(
        app = &*name,
        upstream = %upstream.url,
        proxy = upstream.proxy.as_ref().map(tracing::field::display),
        "an application"
    );
    let client = Client::new(upstream, metrics.of_client(&name))
        .map_err(|error| format!("upstream of {name}: {}", chain(&*error)))?;
    Ok(App {
        label: Arc::clone(&name),
        name,
        client,
        rate,
    })
}

/// What makes the apps of worlds that no setting names, each with a client of its own: a
/// fault of one world must not open the breaker of another.
fn maker(worlds: WorldApps, metrics: UpstreamMetrics) -> MakeApp {
    let label: Arc<str> = OTHER_APPS.into();
    Box::new(move |name| {
        let upstream = worlds.upstream(name)?;
        let name = Arc::clone(&upstream.app);
        // Those of the settings, which differ in name and token alone, have clients.
        let client = Client::new(upstream, metrics.of_client(&label)).ok()?;
        Some(App {
            name,
            label: Arc::clone(&label),
            client,
            rate: None,
        })
    })
}

fn reload_of_certificate(tls: Tls) -> Result<Reload, String> {
    Reload::new(Kind::Certificate, tls.files(), move |files| {
        tls.replace(files)
    })
}

fn reload_of_token(file: PathBuf, client: Client) -> Result<Reload, String> {
    Reload::new(Kind::Token, vec![file.clone()], move |files| {
        client.set_token(AppConfig::read_token(files.content(&file)?)?);
        Ok(())
    })
}

fn reload_of_callers(file: CallerFile, access: Access) -> Result<Reload, String> {
    Reload::new(Kind::Callers, vec![file.path().into()], move |files| {
        let content = files.content(file.path().as_ref())?;
        let callers = file.read(content, &access.callers());
        access.replace(callers.map_err(|mistakes| mistakes.to_string())?);
        Ok(())
    })
}
