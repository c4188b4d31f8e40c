//! Parses the command line, starts tracing, and runs one command.

use std::{
    backtrace::Backtrace,
    env,
    error::Error,
    future::pending,
    io::{self, IsTerminal as _},
    net::SocketAddr,
    panic,
    process::ExitCode,
    time::Duration,
};

use mesibo_grpc::{
    cli::{self, Task},
    config::{self, Config, HealthConfig, SandboxConfig},
    mesibo::{Client, error::chain},
    metrics::Exporter,
    sandbox::Sandbox,
    server::Server,
    service::{self, Backend, TokenDeletion},
};
use prometheus_client::registry::Registry;
use tokio::{
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};
use tonic::transport::Endpoint;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tracing_subscriber::{Layer as _, filter::Targets, layer::SubscriberExt as _};

/// Exit status of a start that a wrong setting stops.
const WRONG_SETTING: u8 = 2;

/// How long `health` waits for an answer.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a command ends badly: an exit status, and a line for people.
struct Failure(u8, String);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(status, line)) => {
            say(io::stderr(), &format!("mesibo-grpc: {line}\n"));
            ExitCode::from(status)
        }
    }
}

fn run() -> Result<(), Failure> {
    let task = cli::parse(env::args_os()).map_err(|line| Failure(WRONG_SETTING, line))?;
    let runtime = Runtime::new().map_err(|error| failed("cannot start", &error))?;
    let result = runtime.block_on(async {
        match task {
            Task::Serve(config) => serve(config).await,
            Task::Sandbox(config) => sandbox(config).await,
            Task::Health(config) => health(config).await,
            Task::Show(text) => {
                say(io::stdout(), &text);
                Ok(())
            }
        }
    });
    // A name lookup may hang in a thread; it has nothing left to say.
    runtime.shutdown_background();
    result
}

async fn serve(config: Config) -> Result<(), Failure> {
    start_tracing(config.log.clone());
    serve_facade(config, |_| ()).await
}

async fn sandbox(mut config: SandboxConfig) -> Result<(), Failure> {
    start_tracing(config.facade.log.clone());
    let emulator = Sandbox::bind(config.emulator_listen, config::SANDBOX_TOKEN)
        .await
        .map_err(|error| wrong("emulator-listen", &error))?;
    config.facade.upstream.url = config::sandbox_url(emulator.local_addr());
    let api = config.facade.upstream.url.clone();
    tokio::select! {
        served = serve_facade(config.facade, |address| greet(address, api.as_str())) => served,
        Err(error) = emulator.serve(pending()) => Err(failed("the emulator failed", &error)),
    }
}

/// Serves until a signal. `ready` learns the address as soon as there is one.
async fn serve_facade(config: Config, ready: impl FnOnce(SocketAddr)) -> Result<(), Failure> {
    let stopped = on_signal().map_err(|error| failed("cannot wait for signals", &error))?;
    let upstream = config.upstream.url.clone();
    let proxy = config.upstream.proxy.clone();
    let client = Client::new(config.upstream).map_err(|error| wrong("upstream", &*error))?;
    let server = Server::bind(config.server)
        .await
        .map_err(|error| wrong("listen", &error))?;

    let mut registry = Registry::with_prefix("mesibo_grpc");
    client.register(&mut registry);
    let exporter = match config.metrics_listen {
        Some(listen) => Some(
            Exporter::bind(listen)
                .await
                .map_err(|error| wrong("metrics-listen", &error))?,
        ),
        None => None,
    };

    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        listen = %server.local_addr(),
        %upstream,
        proxy = or_none(proxy),
        metrics = or_none(exporter.as_ref().map(Exporter::local_addr)),
        "serving gRPC"
    );
    if config.token_deletion == TokenDeletion::UserDel {
        tracing::warn!("DeleteUserToken sends userdel, which deletes the user at Mesibo");
    }
    if let Some(exporter) = exporter {
        // It serves to the end, when the runtime goes.
        tokio::spawn(async {
            if let Err(error) = exporter.serve(registry).await {
                tracing::error!(%error, "metrics are served no longer");
            }
        });
    }
    ready(server.local_addr());

    let services = service::routes(
        &Backend::new(client, config.error_codes),
        config.token_deletion,
        config.max_request_bytes,
    );
    let shutdown = async {
        // The sender goes away only with the runtime.
        let _ = stopped.await;
    };
    server.serve(services, shutdown).await;
    tracing::info!("stopped");
    Ok(())
}

async fn health(config: HealthConfig) -> Result<(), Failure> {
    let address = config.address.to_string();
    let ask = async {
        let channel = Endpoint::from_shared(address.clone())?.connect().await?;
        let request = HealthCheckRequest {
            service: config.service,
        };
        let response = HealthClient::new(channel).check(request).await?;
        Ok::<_, Box<dyn Error>>(response.into_inner().status())
    };
    match tokio::time::timeout(HEALTH_TIMEOUT, ask).await {
        Ok(Ok(ServingStatus::Serving)) => Ok(()),
        Ok(Ok(status)) => Err(Failure(1, format!("{address} is {}", status.as_str_name()))),
        Ok(Err(error)) => Err(failed(&format!("cannot ask {address}"), &*error)),
        Err(_) => Err(Failure(1, format!("{address} does not answer"))),
    }
}

/// Completes at the first SIGTERM or SIGINT. The second ends the process at once.
fn on_signal() -> io::Result<oneshot::Receiver<()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (stop, stopped) = oneshot::channel();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        next().await;
        tracing::info!("stopping: calls in flight may finish; another signal ends them");
        let _ = stop.send(());
        next().await;
        std::process::exit(1);
    });
    Ok(stopped)
}

/// Logs to standard error, panics with their backtraces included.
fn start_tracing(targets: Targets) {
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_filter(targets);
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(lines))
        .expect("nothing else sets a subscriber");
    panic::set_hook(Box::new(|panic| {
        let backtrace = Backtrace::force_capture();
        tracing::error!(%backtrace, "{panic}");
    }));
}

/// Prints, ready to paste, what to try first in the sandbox.
fn greet(address: SocketAddr, api: &str) {
    let call = |method: &str, request: &str| {
        format!("  grpcurl -plaintext -d '{request}' {address} mesibo.v1.{method}\n")
    };
    let text = [
        format!("The sandbox serves gRPC on {address}, in front of an emulator of Mesibo at\n"),
        format!("{api}. Create two users and send a message:\n\n"),
        call(
            "UserService/CreateUser",
            r#"{"address": "alice", "app_id": "demo"}"#,
        ),
        call(
            "UserService/CreateUser",
            r#"{"address": "bob", "app_id": "demo"}"#,
        ),
        call(
            "MessageService/SendMessage",
            r#"{"from_address": "alice", "to_address": "bob", "message": "Hello"}"#,
        ),
        "\nSee what the emulator holds:\n\n".to_owned(),
        format!("  curl {}\n\n", api.replace("api.php", "sandbox/state")),
    ]
    .concat();
    say(io::stdout(), &text);
}

/// Writes a text. A reader who went away is no reason to fail.
fn say(mut stream: impl io::Write, text: &str) {
    let _ = stream.write_all(text.as_bytes());
    let _ = stream.flush();
}

/// A value for the log.
fn or_none(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}

fn wrong(setting: &str, error: &(dyn Error + 'static)) -> Failure {
    Failure(WRONG_SETTING, format!("{setting}: {}", chain(error)))
}

fn failed(what: &str, error: &(dyn Error + 'static)) -> Failure {
    Failure(1, format!("{what}: {}", chain(error)))
}
