//! Puts the parts together, as the settings say.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use prometheus_client::{metrics::info::Info, registry::Registry};
use tokio::task::JoinSet;

use crate::{
    access::{self, Access, Caller},
    apps::{App, Apps},
    config::{Config, apps::AppConfig, callers::CallerFile},
    mesibo::{self, Client, error::chain},
    metrics::{self, Exporter},
    reload::{self, Kind, Reload},
    server::{self, Server, Services, tls::Tls},
    service::{self, TokenDeletion},
};

/// A facade that has its ports, but does not serve yet.
pub struct Facade {
    server: Server,
    services: Services,
    access: Access,
    reloads: Vec<Reload>,
    reload_metrics: reload::Metrics,
    exporter: Option<(Exporter, Registry)>,
}

/// What the parts count.
struct Metrics {
    server: server::Metrics,
    access: access::Metrics,
    service: service::Metrics,
    upstream: mesibo::Metrics,
    reload: reload::Metrics,
}

impl Facade {
    /// Takes the ports, and gets everything ready.
    ///
    /// # Errors
    ///
    /// If anything that a setting names cannot be used, in a line that names the setting.
    pub async fn bind(config: Config) -> Result<Self, String> {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let own = registry.sub_registry_with_prefix(metrics::PREFIX);

        let mut reloads = Vec::new();
        if let Some(tls) = config.server.tls.clone() {
            reloads.push(reload_of_certificate(tls)?);
        }
        let mut apps = Vec::new();
        for app in config.apps {
            let (app, token_file) = open(app, &metrics.upstream)?;
            if let Some(file) = token_file {
                reloads.push(reload_of_token(file, app.client.clone())?);
            }
            apps.push(app);
        }
        let clients = apps.iter().map(|app| app.client.clone()).collect();
        own.register_collector(Box::new(mesibo::States(clients)));
        let apps =
            Apps::new(apps, &config.default_app).ok_or("default-app: expected one of the apps")?;
        metrics.service.register(own, &apps);
        let access = Access::new(
            config.callers,
            Arc::new(apps),
            config.open_reflection,
            &metrics.access,
        );
        if let Some(file) = config.caller_file {
            reloads.push(reload_of_callers(file, access.clone())?);
        }

        let server = Server::bind(config.server, &metrics.server)
            .await
            .map_err(|(setting, error)| format!("{setting}: {error}"))?;
        let exporter = match config.metrics_listen {
            None => None,
            Some(listen) => {
                let exporter = Exporter::bind(listen).await;
                let exporter = exporter.map_err(|error| {
                    format!("metrics-listen: {error}; set another address, or none")
                })?;
                Some((exporter, registry))
            }
        };
        if config.token_deletion == TokenDeletion::UserDel {
            tracing::warn!("DeleteUserToken sends userdel, which deletes the user at Mesibo");
        }
        Ok(Self {
            server,
            services: service::services(
                &config.error_codes,
                config.token_deletion,
                config.max_request_bytes,
                &metrics.service,
            ),
            access,
            reloads,
            reload_metrics: metrics.reload,
            exporter,
        })
    }

    /// The address that it serves gRPC on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// The address that it serves health on besides, if there is one.
    #[must_use]
    pub fn health_addr(&self) -> Option<SocketAddr> {
        self.server.health_addr()
    }

    /// The address that it serves metrics on, if there is one.
    #[must_use]
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        let (exporter, _) = self.exporter.as_ref()?;
        Some(exporter.local_addr())
    }

    /// Serves until `shutdown` completes, and winds down as [`Server::serve`] does.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) {
        // They end with this function.
        let mut background = JoinSet::new();
        background.spawn(reload::watch(self.reloads, self.reload_metrics));
        if let Some((exporter, registry)) = self.exporter {
            background.spawn(async {
                if let Err(error) = exporter.serve(registry).await {
                    tracing::error!(%error, "metrics are served no longer");
                }
            });
        }
        self.server
            .serve(self.services, self.access, shutdown)
            .await;
    }
}

impl Metrics {
    /// Registers all but those of the services, who need to know the apps.
    fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            server: server::Metrics::default(),
            access: access::Metrics::default(),
            service: service::Metrics::default(),
            upstream: mesibo::Metrics::new(metrics::seconds),
            reload: reload::Metrics::default(),
        };
        metrics.server.register(registry);
        let own = registry.sub_registry_with_prefix(metrics::PREFIX);
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        own.register("build", "The program that runs", version);
        metrics.access.register(own);
        metrics.upstream.register(own);
        metrics.reload.register(own);
        metrics
    }
}

/// An app with its client, and the file that its token is from.
fn open(config: AppConfig, metrics: &mesibo::Metrics) -> Result<(App, Option<PathBuf>), String> {
    let AppConfig {
        upstream,
        token_file,
        rate,
    } = config;
    let name = Arc::clone(&upstream.app);
    tracing::info!(
        app = &*name,
        upstream = %upstream.url,
        proxy = upstream.proxy.as_ref().map(tracing::field::display),
        "an application"
    );
    let client = Client::new(upstream, metrics)
        .map_err(|error| format!("upstream of {name}: {}", chain(&*error)))?;
    let app = App { name, client, rate };
    Ok((app, token_file))
}

fn reload_of_certificate(tls: Tls) -> Result<Reload, String> {
    Reload::new(Kind::Certificate, tls.files(), move || tls.reload())
}

fn reload_of_token(file: PathBuf, client: Client) -> Result<Reload, String> {
    Reload::new(Kind::Token, vec![file.clone()], move || {
        client.set_token(AppConfig::read_token(&file)?);
        Ok(())
    })
}

fn reload_of_callers(file: CallerFile, access: Access) -> Result<Reload, String> {
    Reload::new(Kind::Callers, vec![file.path().into()], move || {
        let callers: Result<Vec<Caller>, _> = file.read(&access.callers());
        access.replace(callers.map_err(|mistakes| mistakes.to_string())?);
        Ok(())
    })
}
