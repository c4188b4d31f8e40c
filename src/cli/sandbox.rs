//! `sandbox`: the facade in front of an embedded emulator of Mesibo.

use std::{
    io,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, OnceLock},
};

use mesibo::chain;
use mesibo_sandbox::{DEFAULT_WORLD, Tokens};
use tokio::sync::oneshot;

use super::{Failure, serve};
use crate::{
    config::{SandboxConfig, sandbox_url, settings},
    facade::Facade,
    store::Store,
};

/// Serves the facade and the emulator until a signal.
pub(super) async fn run(mut config: SandboxConfig) -> Result<(), Failure> {
    let _telemetry = serve::start_telemetry(&config.facade)?;
    let (listen, tokens) = (config.emulator.listen, config.emulator.tokens.clone());
    // The facade is there only once it knows the emulator's address.
    let remembered = Arc::new(OnceLock::<Arc<dyn Store>>::new());
    let store = Arc::clone(&remembered);
    let emulator = config.emulator.builder().on_reset(move |world| {
        if let Some(store) = store.get() {
            store.forget_app(world);
        }
    });
    let emulator = emulator.bind().await.map_err(|error| {
        if error.kind() == io::ErrorKind::InvalidData {
            return Failure::wrong(error);
        }
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
    if let Some(worlds) = &mut config.facade.worlds {
        worlds.upstream.url = api.clone();
    }
    let (stop, stopped) = oneshot::channel::<()>();
    let mut emulator = pin!(emulator.serve(async {
        let _ = stopped.await;
    }));
    let ready = |facade: &Facade| {
        let _ = remembered.set(Arc::clone(facade.store()));
        greet(facade.local_addr(), api.as_str(), &tokens);
    };
    let failed = |error| Failure::of("the emulator failed", &error);
    let served = tokio::select! {
        served = serve::serve(config.facade, ready) => served,
        Err(error) = &mut emulator => return Err(failed(error)),
    };
    // It writes its data at the end.
    drop(stop);
    emulator.await.map_err(failed)?;
    served
}

/// Prints, ready to paste, what to try first in the sandbox.
fn greet(address: SocketAddr, api: &str, tokens: &Tokens) {
    let call = |method: &str, request: &str| {
        format!(
            "  curl -H 'content-type: application/json' -d '{request}' \\\n    \
             http://{address}/mesibo.v1.{method}\n"
        )
    };
    let token = tokens.of_world(DEFAULT_WORLD).unwrap_or_default();
    let text = [
        format!("The sandbox serves gRPC on {address}, in front of an emulator of Mesibo at\n"),
        format!("{api}. Create two users and send a message:\n\n"),
        call(
            "UserService/CreateUser",
            r#"{"address": "alice", "appId": "demo"}"#,
        ),
        call(
            "UserService/CreateUser",
            r#"{"address": "bob", "appId": "demo"}"#,
        ),
        call(
            "MessageService/SendMessage",
            r#"{"fromAddress": "alice", "toAddress": "bob", "message": "Hello"}"#,
        ),
        format!(
            "\nSee what the emulator holds, and break it on purpose, on its page:\n\n  {}\n\n",
            api.replace("api.php", "")
        ),
        "The same for programs:\n\n".to_owned(),
        format!("  curl {}\n\n", api.replace("api.php", "sandbox/state")),
        format!("Call the emulated API itself; its application token is \"{token}\":\n\n"),
        format!("  curl -d token={token} -d op=usersget {api}\n\n"),
        format!(
            "Each test can have a world of its own: mesibo-app: NAME in the metadata of a call, \
             and\nthe token {token}-NAME, are for the world NAME.\n\n"
        ),
    ];
    super::print(&text.concat());
}
