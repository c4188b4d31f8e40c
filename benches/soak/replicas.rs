//! The servers: replicas of the facade over one store, and the ways to them.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use crate::{
    files::{Files, NAME},
    process::{PROGRAM, Server, free_address},
};

/// The ports are on an address that is no client's, so that nobody takes one while its
/// server is down.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// How many there are. The first one stays, and is the one that is measured.
const REPLICAS: usize = 3;

/// Connections to each.
const CONNECTIONS: usize = 2;

/// How long idle connections to the backend are kept.
const UPSTREAM_IDLE: &str = "2s";

const LAME_DUCK: &str = "1s";

/// When a call that the backend never answers ends. No other takes as long, even if others
/// have the machine.
const DEADLINE: &str = "10s";

pub struct Replicas {
    servers: Vec<Option<Server>>,
    addresses: Vec<SocketAddr>,
    /// Where the first one has its metrics.
    pub metrics: SocketAddr,
    backend: String,
    ways: Arc<Ways>,
}

/// The connections to each replica; none while it is down.
pub struct Ways(Vec<Mutex<Vec<Channel>>>);

impl Ways {
    /// A connection for a call. Calls go to all in turn.
    pub fn channel(&self, number: u64) -> Channel {
        let count = self.0.len();
        let number = usize::try_from(number).unwrap_or_default();
        (0..count)
            .find_map(|next| {
                let way = &self.0[(number + next) % count];
                let way = way.lock().expect("nobody panics with it");
                way.get(number / count % CONNECTIONS).cloned()
            })
            .expect("the first replica stays")
    }

    fn set(&self, replica: usize, channels: Vec<Channel>) {
        *self.0[replica].lock().expect("nobody panics with it") = channels;
    }
}

impl Replicas {
    pub async fn start(files: &Files, backend: String) -> Self {
        let mut replicas = Self {
            servers: (0..REPLICAS).map(|_| None).collect(),
            addresses: (0..REPLICAS).map(|_| free_address(ADDRESS)).collect(),
            metrics: free_address(ADDRESS),
            backend,
            ways: Arc::new(Ways((0..REPLICAS).map(|_| Mutex::default()).collect())),
        };
        for replica in 0..REPLICAS {
            replicas.serve(replica, files);
            replicas.connect(replica, files).await;
        }
        replicas
    }

    pub fn ways(&self) -> Arc<Ways> {
        Arc::clone(&self.ways)
    }

    /// The one that stays.
    pub fn first(&self) -> &Server {
        self.servers[0].as_ref().expect("it stays")
    }

    fn serve(&mut self, replica: usize, files: &Files) {
        let metrics = match replica {
            0 => self.metrics.to_string(),
            _ => "none".to_owned(),
        };
        let path = |name| files.path(name);
        let server = Server::facade_on(PROGRAM, self.addresses[replica], |command| {
            command
                .args(["--upstream-url", &self.backend])
                .args(["--upstream-idle-timeout", UPSTREAM_IDLE])
                .args(["--metrics-listen", &metrics, "--lame-duck", LAME_DUCK])
                .args(["--default-deadline", DEADLINE])
                .args(["--store", &format!("sqlite:{}", path("store.db").display())])
                .arg("--config")
                .arg(path("settings.toml"))
                .arg("--tls-certificate-file")
                .arg(path("tls.crt"))
                .arg("--tls-key-file")
                .arg(path("tls.key"))
                .env("MESIBO_APP_TOKEN_FILE", path("token"));
        });
        self.servers[replica] = Some(server);
    }

    /// Makes new connections to a replica, once it serves. Calls on those before end as they
    /// would.
    pub async fn connect(&self, replica: usize, files: &Files) {
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(&files.authority))
            .domain_name(NAME);
        let url = format!("https://{}", self.addresses[replica]);
        let endpoint = Endpoint::from_shared(url).expect("it is a URL");
        let endpoint = endpoint.tls_config(tls).expect("it is a certificate");
        let end = Instant::now() + Duration::from_secs(30);
        let mut channels = Vec::new();
        while channels.len() < CONNECTIONS {
            match endpoint.connect().await {
                Ok(channel) => channels.push(channel),
                Err(error) => {
                    assert!(Instant::now() < end, "it does not serve: {error:?}");
                    sleep(Duration::from_millis(20)).await;
                }
            }
        }
        self.ways.set(replica, channels);
    }

    /// Makes new connections to all.
    pub async fn connect_all(&self, files: &Files) {
        for replica in 0..REPLICAS {
            self.connect(replica, files).await;
        }
    }

    /// Stops one but the first, and starts it again. As in a rollout, no new calls go to it
    /// from a moment after the signal on.
    pub async fn roll(&mut self, turn: usize, files: &Files) {
        let replica = 1 + turn % (REPLICAS - 1);
        let server = self.servers[replica].take().expect("it was started");
        let ways = Arc::clone(&self.ways);
        let leave = tokio::spawn(async move {
            sleep(Duration::from_millis(200)).await;
            ways.set(replica, Vec::new());
        });
        let stopped = tokio::task::spawn_blocking(|| server.stop());
        let status = stopped.await.expect("nothing panics");
        assert!(status.success(), "a replica ended with {status}");
        leave.await.expect("nothing panics");
        self.serve(replica, files);
        self.connect(replica, files).await;
    }

    /// Closes all connections.
    pub fn disconnect(&self) {
        for replica in 0..REPLICAS {
            self.ways.set(replica, Vec::new());
        }
    }
}
