//! What a server holds: memory, descriptors, threads, and what its gauges say.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, sleep},
};

use crate::process::Server;

/// What is 0 in a server that nobody calls.
const GAUGES: [&str; 6] = [
    "mesibo_grpc_connections",
    "mesibo_grpc_request_memory_bytes",
    "mesibo_grpc_store_queue",
    "mesibo_grpc_upstream_connections",
    "mesibo_grpc_upstream_in_flight",
    "mesibo_grpc_upstream_waiting",
];

/// What a server holds while nobody calls it.
#[derive(Clone, Copy, Debug)]
pub struct Rest {
    /// In MiB.
    pub memory: f64,
    /// Descriptors, without those of the store, which has up to a fixed number of
    /// connections.
    pub descriptors: usize,
    /// Threads that stay, without those of the store and of file reads, which come and go.
    pub threads: usize,
}

impl Rest {
    /// Waits until a server is at rest.
    ///
    /// # Errors
    ///
    /// The gauges that have not come to rest in time.
    pub async fn of(server: &Server, metrics: SocketAddr) -> Result<Self, String> {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let text = scrape(metrics).await;
            let busy: Vec<_> = GAUGES
                .iter()
                .map(|name| (name, sum(&text, name, "")))
                .filter(|(_, value)| *value != 0.0)
                .collect();
            if busy.is_empty() {
                break;
            }
            if Instant::now() > end {
                return Err(format!("{busy:?} with nobody calling"));
            }
            sleep(Duration::from_millis(200)).await;
        }
        Ok(Self {
            memory: server.memory(),
            descriptors: descriptors(server),
            threads: threads(server),
        })
    }
}

fn entries(server: &Server, folder: &str) -> Vec<std::path::PathBuf> {
    let folder = format!("/proc/{}/{folder}", server.id());
    let entries = Path::new(&folder).read_dir().expect("it runs");
    let entries = entries.filter_map(Result::ok);
    entries.map(|entry| entry.path()).collect()
}

fn descriptors(server: &Server) -> usize {
    let targets = entries(server, "fd").into_iter();
    let targets = targets.filter_map(|entry| fs::read_link(entry).ok());
    let is_store = |target: &Path| target.to_string_lossy().contains("store.db");
    targets.filter(|target| !is_store(target)).count()
}

fn threads(server: &Server) -> usize {
    let names = entries(server, "task").into_iter();
    let names = names.filter_map(|entry| fs::read_to_string(entry.join("comm")).ok());
    // Those that wait for the disk come and go.
    names.filter(|name| !name.starts_with("tokio-")).count()
}

/// What a server's metrics say.
pub async fn scrape(metrics: SocketAddr) -> String {
    let read = async {
        let mut stream = TcpStream::connect(metrics).await?;
        stream
            .write_all(b"GET /metrics HTTP/1.0\r\nhost: localhost\r\n\r\n")
            .await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        std::io::Result::Ok(text)
    };
    read.await.expect("it has metrics")
}

/// The sum of the series of a metric whose labels have a text in them.
pub fn sum(metrics: &str, name: &str, label: &str) -> f64 {
    let lines = metrics.lines().filter(|line| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with(['{', ' ']) && rest.contains(label))
    });
    let values = lines.filter_map(|line| line.rsplit(' ').next());
    values.filter_map(|value| value.parse::<f64>().ok()).sum()
}

/// How fast a quantity grows, by least squares: the slope of its samples.
pub fn slope(samples: &[(f64, f64)]) -> f64 {
    #[allow(clippy::cast_precision_loss)]
    let count = samples.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| samples.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|sample| sample.0), mean(|sample| sample.1));
    let products = samples.iter().map(|sample| (sample.0 - x) * (sample.1 - y));
    let squares = samples.iter().map(|sample| (sample.0 - x).powi(2));
    products.sum::<f64>() / squares.sum::<f64>()
}
