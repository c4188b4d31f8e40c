//! Parses the command line, starts tracing, and runs one command.

use std::{
    env, error::Error, future::pending, io, net::SocketAddr, process::ExitCode, time::Duration,
};

use mesibo::chain;
use mesibo_grpc::{
    Facade,
    access::key::{self, KeyHash},
    cli::{self, Task},
    config::{self, Config, HealthConfig, SandboxConfig},
    telemetry::{self, Telemetry},
};
use mesibo_sandbox::Sandbox;
use mimalloc::MiMalloc;
use secrecy::ExposeSecret as _;
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tracing::field;
use zeroize::Zeroizing;

/// The allocator: 8% less processor time a call than with the system's, for 2 MiB more
/// memory.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// The threads of the runtime beside the workers, for probes, metrics and signals.
const RUNTIME_THREADS: usize = 2;

/// The exit status of a start that a wrong setting stops.
const WRONG_SETTING: u8 = 2;

/// How long the end of the process waits for tasks to be dropped.
const DROP_TIMEOUT: Duration = Duration::from_millis(500);

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
    let runtime = Builder::new_multi_thread()
        .worker_threads(RUNTIME_THREADS)
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| failed("cannot start", &error))?;
    let result = runtime.block_on(async {
        match task {
            Task::Serve(config) => serve(config).await,
            Task::Sandbox(config) => sandbox(config).await,
            Task::Health(config) => health(config).await,
            Task::Key(name) => key(&name),
            Task::Show(text) => {
                say(io::stdout(), &text);
                Ok(())
            }
        }
    });
    // Tasks that are dropped may still log. A name lookup may hang in a thread, and does
    // not log.
    runtime.shutdown_timeout(DROP_TIMEOUT);
    telemetry::flush();
    result
}

async fn serve(config: Config) -> Result<(), Failure> {
    let _telemetry = start_telemetry(&config)?;
    serve_facade(config, |_| ()).await
}

async fn sandbox(mut config: SandboxConfig) -> Result<(), Failure> {
    let _telemetry = start_telemetry(&config.facade)?;
    let emulator = Sandbox::bind(config.emulator_listen, config::SANDBOX_TOKEN)
        .await
        .map_err(|error| wrong("emulator-listen", &error))?;
    let api = config::sandbox_url(emulator.local_addr());
    for app in &mut config.facade.apps {
        app.upstream.url = api.clone();
    }
    tokio::select! {
        served = serve_facade(config.facade, |address| greet(address, api.as_str())) => served,
        Err(error) = emulator.serve(pending()) => Err(failed("the emulator failed", &error)),
    }
}

fn start_telemetry(config: &Config) -> Result<Telemetry, Failure> {
    telemetry::start(config.log.clone(), config.log_format)
        .map_err(|error| failed("cannot send traces", &*error))
}

/// Serves until a signal. `ready` is called with the address of the gRPC port.
async fn serve_facade(config: Config, ready: impl FnOnce(SocketAddr)) -> Result<(), Failure> {
    // Connections take a file descriptor each, and the usual soft limit, for the sake of
    // programs from long ago, is 1,024.
    let open_files = rlimit::increase_nofile_limit(u64::MAX)
        .map_err(|error| failed("cannot raise the limit of open files", &error))?;
    let stopped = on_signal().map_err(|error| failed("cannot wait for signals", &error))?;
    let facade = Facade::bind(config)
        .await
        .map_err(|mistake| Failure(WRONG_SETTING, mistake))?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        listen = %facade.local_addr(),
        health = facade.health_addr().map(field::display),
        metrics = facade.metrics_addr().map(field::display),
        open_files,
        "serving gRPC"
    );
    ready(facade.local_addr());
    let shutdown = async {
        // The sender goes away only with the runtime.
        let _ = stopped.await;
    };
    let served = facade.serve(shutdown).await;
    served.map_err(|error| failed("the server failed", &error))?;
    tracing::info!("stopped");
    Ok(())
}

/// Makes a key, and shows it this once.
fn key(name: &str) -> Result<(), Failure> {
    let key = key::generate().map_err(|error| Failure(1, error.to_owned()))?;
    let text = Zeroizing::new(format!(
        "# The key of {name}, which is shown this once. It goes into the metadata of calls,\n\
         # as authorization: Bearer KEY\n\
         {}\n\n\
         # Its hash goes into the settings file, among the other keys of {name} if it has some:\n\
         [callers.{name}]\n\
         keys = [\"{}\"]\n\
         may-call = [\"mesibo.v1.MessageService/*\"]\n",
        key.expose_secret(),
        KeyHash::of_key(&key)
    ));
    say(io::stdout(), &text);
    Ok(())
}

async fn health(config: HealthConfig) -> Result<(), Failure> {
    let address = config.address.to_string();
    let ask = async {
        let mut endpoint = Endpoint::from_shared(address.clone())?;
        if config.address.scheme() == "https" {
            let authorities = config.ca_certificates.map(Certificate::from_pem);
            let tls = ClientTlsConfig::new().with_native_roots();
            endpoint = endpoint.tls_config(tls.ca_certificates(authorities))?;
        }
        let channel = endpoint.connect().await?;
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
        telemetry::flush();
        std::process::exit(1);
    });
    Ok(stopped)
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

fn wrong(setting: &str, error: &(dyn Error + 'static)) -> Failure {
    Failure(WRONG_SETTING, format!("{setting}: {}", chain(error)))
}

fn failed(what: &str, error: &(dyn Error + 'static)) -> Failure {
    Failure(1, format!("{what}: {}", chain(error)))
}
