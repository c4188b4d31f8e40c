//! The load, and what is measured of it.

use std::{
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use mesibo_grpc::proto::{
    SendMessageRequest, message_service_client::MessageServiceClient,
    send_message_request::Recipient,
};
use tokio::{task::JoinSet, time::sleep_until};
use tonic::{
    Request,
    metadata::{Ascii, MetadataValue},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};
use uuid::Uuid;

use crate::{
    process::{KEY, Server},
    servers::Kind,
};

/// How calls are made.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub in_flight: usize,
    pub connections: usize,
    /// Calls a second; as many as there can be if there is none.
    pub rate: Option<f64>,
    /// Of a message, in bytes.
    pub message: usize,
    /// Whether each call has a `request_id` of its own.
    pub has_id: bool,
}

/// What was measured of a server under a load.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// Calls a second.
    pub rate: f64,
    pub p50: Duration,
    pub p99: Duration,
    pub p999: Duration,
    /// Of the server's process, a call.
    pub cpu: Duration,
    /// In MiB.
    pub memory: f64,
    /// How many there were.
    pub calls: u32,
}

impl Load {
    /// So many calls are in flight all the time.
    pub const fn closed(in_flight: usize, connections: usize) -> Self {
        Self {
            in_flight,
            connections,
            rate: None,
            message: 100,
            has_id: false,
        }
    }

    /// The same load of calls that have a `request_id`.
    pub const fn with_id(self) -> Self {
        Self {
            has_id: true,
            ..self
        }
    }

    /// So many calls a second. Latency counts from when a call should have begun.
    pub const fn paced(in_flight: usize, connections: usize, rate: f64) -> Self {
        Self {
            rate: Some(rate),
            ..Self::closed(in_flight, connections)
        }
    }

    /// Puts it on a server for a while.
    pub async fn run(self, server: &Server, time: Duration) -> Figures {
        let mut connections = Vec::new();
        for _ in 0..self.connections {
            connections.push(connect(server).await);
        }
        let (cpu, begun) = (server.cpu_time(), Instant::now());
        let next = Arc::new(AtomicU64::new(0));
        let mut workers = JoinSet::new();
        for worker in 0..self.in_flight {
            let client = connections[worker % connections.len()].clone();
            workers.spawn(self.work(client, Arc::clone(&next), begun, begun + time));
        }
        let mut times = histogram();
        while let Some(worker) = workers.join_next().await {
            times
                .add(worker.expect("no call fails"))
                .expect("they are alike");
        }
        let elapsed = begun.elapsed();
        let calls = u32::try_from(times.len()).expect("nobody waits for that long");
        let at = |quantile| Duration::from_nanos(times.value_at_quantile(quantile));
        Figures {
            rate: f64::from(calls) / elapsed.as_secs_f64(),
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            cpu: server.cpu_time().saturating_sub(cpu) / calls.max(1),
            memory: server.peak_memory(),
            calls,
        }
    }

    /// Makes one call after the other.
    async fn work(
        self,
        mut client: MessageServiceClient<Channel>,
        next: Arc<AtomicU64>,
        begun: Instant,
        end: Instant,
    ) -> Histogram<u64> {
        let message = "x".repeat(self.message);
        let key: MetadataValue<Ascii> = format!("Bearer {KEY}").parse().expect("it is ASCII");
        let mut times = histogram();
        loop {
            let due = match self.rate {
                None => Instant::now(),
                #[allow(clippy::cast_precision_loss)]
                Some(rate) => {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    begun + Duration::from_secs_f64(number as f64 / rate)
                }
            };
            if due >= end {
                return times;
            }
            // It sleeps for a millisecond at least, even until now.
            if due > Instant::now() {
                sleep_until(due.into()).await;
            }
            let mut request = Request::new(SendMessageRequest {
                from_address: "alice".into(),
                recipient: Some(Recipient::ToAddress("bob".into())),
                message: message.clone(),
                request_id: self.has_id.then(new_id),
                ..Default::default()
            });
            request.metadata_mut().insert("authorization", key.clone());
            client.send_message(request).await.expect("no call fails");
            let nanoseconds = due.elapsed().as_nanos();
            times.saturating_record(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        }
    }
}

impl Figures {
    /// The median of each figure.
    pub fn median(all: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| median_of(all.iter().map(figure).collect());
        let time = |figure| Duration::from_secs_f64(of(figure));
        Self {
            rate: of(|figures| figures.rate),
            p50: time(|figures| figures.p50.as_secs_f64()),
            p99: time(|figures| figures.p99.as_secs_f64()),
            p999: time(|figures| figures.p999.as_secs_f64()),
            cpu: time(|figures| figures.cpu.as_secs_f64()),
            memory: of(|figures| figures.memory),
            calls: all.iter().map(|figures| figures.calls).sum(),
        }
    }
}

/// The figures of all kinds as a table, each with its ratio to *plain*.
pub fn table(all: &[Figures; 3]) -> String {
    let mut table = String::from(
        "| server | calls a second | p50 | p99 | p99.9 | CPU a call | peak memory |\n\
         |---|---|---|---|---|---|---|\n",
    );
    let plain = all[Kind::Plain as usize];
    for kind in Kind::ALL {
        let figures = all[kind as usize];
        let time = |of: fn(&Figures) -> Duration, digits| {
            let (time, to_plain) = (of(&figures), ratio(of(&figures), of(&plain)));
            format!("{:.digits$} µs ({to_plain:.2})", time.as_secs_f64() * 1e6)
        };
        writeln!(
            table,
            "| {} | {:.0} ({:.2}) | {} | {} | {} | {} | {:.1} MiB ({:.2}) |",
            kind.name(),
            figures.rate,
            figures.rate / plain.rate,
            time(|figures| figures.p50, 0),
            time(|figures| figures.p99, 0),
            time(|figures| figures.p999, 0),
            time(|figures| figures.cpu, 1),
            figures.memory,
            figures.memory / plain.memory,
        )
        .expect("a text can be written to");
    }
    table
}

/// Makes calls one after the other, so many at a time, for a while, and gives the server's
/// CPU time a call. `call` is told which of so many it is.
pub async fn cpu_a_call<F: Future<Output = ()> + Send>(
    server: &Server,
    in_flight: usize,
    time: Duration,
    call: impl Fn(usize) -> F + Clone + Send + 'static,
) -> Duration {
    let (cpu, end) = (server.cpu_time(), Instant::now() + time);
    let mut workers = JoinSet::new();
    for worker in 0..in_flight {
        let call = call.clone();
        workers.spawn(async move {
            let mut calls = 0_u32;
            while Instant::now() < end {
                call(worker).await;
                calls += 1;
            }
            calls
        });
    }
    let calls: u32 = workers.join_all().await.into_iter().sum();
    server.cpu_time().saturating_sub(cpu) / calls.max(1)
}

/// The one in the middle.
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// The same of numbers.
pub fn median_of(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// One time to another.
pub fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}

/// Calls a server until it answers.
pub async fn first_answer(server: &Server) {
    let load = Load::closed(1, 1);
    let begun = Instant::now();
    let endpoint = endpoint(server);
    let mut client = loop {
        if let Ok(channel) = endpoint.connect().await {
            break MessageServiceClient::new(channel);
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "it starts");
        tokio::time::sleep(Duration::from_micros(500)).await;
    };
    let mut request = Request::new(SendMessageRequest {
        from_address: "alice".into(),
        recipient: Some(Recipient::ToAddress("bob".into())),
        message: "x".repeat(load.message),
        ..Default::default()
    });
    let key = format!("Bearer {KEY}").parse().expect("it is ASCII");
    request.metadata_mut().insert("authorization", key);
    client.send_message(request).await.expect("it answers");
}

pub async fn connect(server: &Server) -> MessageServiceClient<Channel> {
    first_answer(server).await;
    let channel = endpoint(server).connect().await.expect("it serves");
    MessageServiceClient::new(channel)
}

/// Where a server is, and what it is known by.
pub fn endpoint(server: &Server) -> Endpoint {
    let address = server.address;
    match &server.certificate {
        None => Endpoint::from_shared(format!("http://{address}")),
        Some(certificate) => {
            let certificate = Certificate::from_pem(certificate);
            let tls = ClientTlsConfig::new().ca_certificate(certificate);
            Endpoint::from_shared(format!("https://{address}"))
                .and_then(|endpoint| endpoint.tls_config(tls))
        }
    }
    .expect("it is a URL, and a certificate")
}

/// A UUID that no other call has.
fn new_id() -> String {
    Uuid::from_u64_pair(fastrand::u64(..), fastrand::u64(1..)).to_string()
}

fn histogram() -> Histogram<u64> {
    // Up to a minute, in nanoseconds, with three digits.
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("the bounds are in order")
}
