//! Sends a message:
//!
//! ```sh
//! MESIBO_APP_TOKEN=... cargo run --example send_message -- alice bob 'Shall we meet?'
//! ```
//!
//! `MESIBO_URL` names another server than Mesibo's, such as an emulator.

use std::{env, error::Error, time::Duration};

use mesibo::{
    Client, Config, Operation, chain,
    operation::{Message, Recipient},
};
use tokio::time::Instant;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [from, to, msg] = &arguments[..] else {
        return Err("expected three arguments: FROM TO MESSAGE".into());
    };
    let token =
        env::var("MESIBO_APP_TOKEN").map_err(|error| format!("MESIBO_APP_TOKEN: {error}"))?;
    let mut config = Config::new("example", token);
    if let Ok(url) = env::var("MESIBO_URL") {
        config.url = url
            .parse()
            .map_err(|error| format!("MESIBO_URL: {error}"))?;
    }
    let client = Client::new(config, ())?;

    let operation = Operation::message(&Message {
        from,
        recipient: Recipient::To(to),
        kind: None,
        expiry_seconds: None,
        msg,
    });
    let deadline = Instant::now() + Duration::from_secs(15);
    match client.call(operation, deadline).await {
        Ok(sent) => {
            let id = sent.mid.map_or("none".to_owned(), |mid| mid.to_string());
            println!("sent; id: {id}");
            Ok(())
        }
        Err(error) if error.outcome_unknown() => {
            Err(format!("it may have been sent: {}", chain(&error)).into())
        }
        Err(error) => Err(format!("it was not sent: {}", chain(&error)).into()),
    }
}
