//! A backend that does with each request what the text of its message says, and takes the
//! tokens alone that a file names.

use std::{collections::HashMap, fs, time::Duration};

use form_urlencoded::parse;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
    time::{interval, sleep},
};

use crate::{
    calls::Kind,
    http1::{request_length, response},
    process,
};

/// A reply that keeps the promises of every operation here.
const GOOD: &str = r#"{"op":"any","mid":1387628,"users":[],"result":true}"#;

const REFUSED: &str = r#"{"op":"any","error":"NOUSER","result":false}"#;

const WRONG_TOKEN: &str = r#"{"op":"any","error":"AUTHFAIL","result":false}"#;

/// Serves until its parent goes away.
pub async fn serve(tokens: &str) {
    let listener = process::listen().await;
    let (tell, told) = watch::channel(String::new());
    let accept = async {
        let mut looks = interval(Duration::from_millis(100));
        loop {
            tokio::select! {
                _ = looks.tick() => {
                    // It is gone when the run is over.
                    if let Ok(tokens) = fs::read_to_string(tokens) {
                        tell.send_replace(tokens);
                    }
                }
                accepted = listener.accept() => {
                    let (stream, _) = accepted.expect("it accepts");
                    stream.set_nodelay(true).expect("it is a socket");
                    tokio::spawn(answer(stream, told.clone()));
                }
            }
        }
    };
    process::until_the_parent_goes(accept).await;
}

async fn answer(mut stream: TcpStream, tokens: watch::Receiver<String>) {
    let mut buffer = Vec::with_capacity(16 * 1024);
    loop {
        while let Some((head, body)) = request_length(&buffer) {
            let form: HashMap<_, _> = parse(&buffer[head..head + body]).into_owned().collect();
            buffer.drain(..head + body);
            let Some(answer) = answer_to(&form, &tokens).await else {
                return;
            };
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
        if !matches!(stream.read_buf(&mut buffer).await, Ok(1..)) {
            return;
        }
    }
}

/// The response to a form, or nothing if the connection is to be closed.
async fn answer_to(
    form: &HashMap<String, String>,
    tokens: &watch::Receiver<String>,
) -> Option<String> {
    let of = |name: &str| form.get(name).map_or("", String::as_str);
    if !tokens.borrow().lines().any(|token| token == of("token")) {
        return Some(response("200 OK", WRONG_TOKEN));
    }
    match Kind::of_text(of("msg")) {
        Kind::Message | Kind::Once | Kind::List => {}
        Kind::Slow => sleep(Duration::from_millis(fastrand::u64(20..200))).await,
        Kind::Refused => return Some(response("200 OK", REFUSED)),
        Kind::Unavailable => return Some(response("503 Service Unavailable", "")),
        Kind::Garbage => return Some(response("200 OK", "<html>")),
        Kind::Cut => return None,
        // The facade gives it up, and closes the connection.
        Kind::Silent => {
            sleep(Duration::from_mins(1)).await;
            return None;
        }
    }
    Some(response("200 OK", GOOD))
}
