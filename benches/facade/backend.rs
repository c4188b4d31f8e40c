//! A backend that answers every request in the same way, as fast as it can.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::{
    http1::{request_length, response},
    process,
    tls::Identity,
};

const REPLY: &str = r#"{"op":"message","mid":1387628,"result":true}"#;

/// The id of the next user that is made.
static NEXT_UID: AtomicU64 = AtomicU64::new(1);

/// Serves until its parent goes away, with TLS if it has an identity. If it `has_users`, each
/// request makes one.
pub async fn serve(has_users: bool, identity: Option<Identity>) {
    let acceptor = identity.map(|identity| identity.acceptor());
    let listener = process::listen().await;
    let accept = async {
        loop {
            let (stream, _) = listener.accept().await.expect("it accepts");
            stream.set_nodelay(true).expect("it is a socket");
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                match acceptor {
                    None => answer(stream, has_users).await,
                    Some(acceptor) => {
                        if let Ok(stream) = acceptor.accept(stream).await {
                            answer(stream, has_users).await;
                        }
                    }
                }
            });
        }
    };
    process::until_the_parent_goes(accept).await;
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, has_users: bool) {
    let fixed = response("200 OK", REPLY);
    let mut buffer = Vec::with_capacity(64 * 1024);
    loop {
        while let Some((head, body)) = request_length(&buffer) {
            buffer.drain(..head + body);
            let written = if has_users {
                stream
                    .write_all(response("200 OK", &user()).as_bytes())
                    .await
            } else {
                stream.write_all(fixed.as_bytes()).await
            };
            if written.is_err() {
                return;
            }
        }
        if !matches!(stream.read_buf(&mut buffer).await, Ok(1..)) {
            return;
        }
    }
}

/// A reply with a user of its own, and with the id of a message.
fn user() -> String {
    let uid = NEXT_UID.fetch_add(1, Ordering::Relaxed);
    format!(
        r#"{{"op":"any","user":{{"uid":"{uid}","token":"89314021d442"}},"mid":1387628,"result":true}}"#
    )
}
