//! `sandbox`: the facade in front of an embedded emulator of Mesibo.

use std::{future::pending, net::SocketAddr};

use mesibo::chain;
use mesibo_sandbox::Sandbox;

use super::{Failure, serve};
use crate::config::{SANDBOX_TOKEN, SandboxConfig, sandbox_url, settings};

/// Serves the facade and the emulator until a signal.
pub(super) async fn run(mut config: SandboxConfig) -> Result<(), Failure> {
    let _telemetry = serve::start_telemetry(&config.facade)?;
    let listen = config.emulator_listen;
    let emulator = Sandbox::builder()
        .listen(listen)
        .bind()
        .await
        .map_err(|error| {
            let name = settings::EMULATOR_LISTEN.name();
            Failure::wrong(format_args!(
                "{name}: cannot listen on {listen}: {}",
                chain(&error)
            ))
        })?;
    let api = sandbox_url(emulator.local_addr());
    for app in &mut config.facade.apps {
        app.upstream.url = api.clone();
    }
    tokio::select! {
        served = serve::serve(config.facade, |address| greet(address, api.as_str())) => served,
        Err(error) = emulator.serve(pending()) => {
            Err(Failure::of("the emulator failed", &error))
        }
    }
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
        format!(
            "\nSee what the emulator holds, and break it on purpose, on its page:\n\n  {}\n\n",
            api.replace("api.php", "")
        ),
        "The same for programs:\n\n".to_owned(),
        format!("  curl {}\n\n", api.replace("api.php", "sandbox/state")),
        "Call the emulated API itself; its application token is the word \"sandbox\":\n\n"
            .to_owned(),
        format!("  curl -d token={SANDBOX_TOKEN} -d op=usersget {api}\n\n"),
    ];
    super::print(&text.concat());
}
