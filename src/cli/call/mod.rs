//! `call`: makes one call to a running server.
//!
//! - `rpc`: the RPCs of the contract, by their names
//! - `describe`: what they take and give, for people
//! - `codec`: messages of types that are known at run time only
//! - `explain`: a failure in words

mod codec;
mod describe;
mod explain;
mod rpc;

use std::io::{self, Read as _};

use prost_reflect::{DeserializeOptions, DynamicMessage, MethodDescriptor, SerializeOptions};
use serde_json::Deserializer;
use tokio_stream::StreamExt as _;
use tonic::{Request, Status, TimeoutExpired, client::Grpc, codegen::InterceptedService};

use super::{
    Failure,
    client::{Credentials, connect},
};
use crate::{config::ClientConfig, status::ServerChannel};
use codec::DynamicCodec;
use explain::Attempt;

pub(super) use describe::{describe, list, summary};
pub(super) use rpc::{all, find, names};

/// Stands for standard input in the place of the request.
pub(super) const STDIN: &str = "-";

/// The request of an RPC in which no field is set.
pub(super) const EMPTY: &str = "{}";

/// One call.
#[derive(Debug)]
pub struct Call {
    /// The server, and who calls.
    pub(super) client: ClientConfig,
    /// What is called.
    pub(super) rpc: MethodDescriptor,
    /// The request in JSON, or [`STDIN`]. A stream of requests is one after the other.
    pub(super) json: String,
}

/// Makes a call, and prints its response as JSON.
pub(super) async fn run(call: Call) -> Result<(), Failure> {
    for warning in &call.client.warnings {
        super::tell(&format!("{}: {warning}\n", env!("CARGO_PKG_NAME")));
    }
    let requests = call.requests()?;
    let attempt = Attempt::new(&call.rpc, &requests, &call.client);
    let connected = tokio::time::timeout(call.client.deadline, connect(&call.client.server)).await;
    let channel = connected
        .unwrap_or_else(|_| {
            Err(format!(
                "it does not answer within {:?}",
                call.client.deadline
            ))
        })
        .map_err(|why| attempt.unconnected(&why))?;
    let channel = InterceptedService::new(channel, Credentials::new(&call.client));
    let answered = if call.rpc.is_client_streaming() || call.rpc.is_server_streaming() {
        call.stream(channel, requests).await
    } else {
        call.unary(channel, requests).await
    };
    answered.map_err(|status| attempt.failed(&status))
}

impl Call {
    /// The requests that the JSON stands for: several for a stream only.
    fn requests(&self) -> Result<Vec<DynamicMessage>, Failure> {
        let mut stdin = String::new();
        let json = if self.json == STDIN {
            let read = io::stdin().lock().read_to_string(&mut stdin);
            read.map_err(|error| {
                Failure::of("cannot read the request from standard input", &error)
            })?;
            &stdin
        } else {
            &self.json
        };
        self.parse(json).map_err(|mistake| {
            Failure::wrong(format_args!(
                "JSON: {mistake}; see call --describe {}",
                self.rpc.name()
            ))
        })
    }

    fn parse(&self, json: &str) -> Result<Vec<DynamicMessage>, String> {
        let options = DeserializeOptions::new();
        let mut requests = Vec::new();
        let mut documents = Deserializer::from_str(json);
        while documents.end().is_err() {
            let request = DynamicMessage::deserialize_with_options(
                self.rpc.input(),
                &mut documents,
                &options,
            );
            requests.push(request.map_err(|error| error.to_string())?);
        }
        if !self.rpc.is_client_streaming() && requests.len() != 1 {
            return Err(format!("expected one request, and got {}", requests.len()));
        }
        Ok(requests)
    }

    async fn unary(
        &self,
        channel: InterceptedService<ServerChannel, Credentials>,
        requests: Vec<DynamicMessage>,
    ) -> Result<(), Status> {
        let request = requests
            .into_iter()
            .next()
            .expect("a unary call has one request");
        let mut request = Request::new(request);
        request.set_timeout(self.client.deadline);
        let mut client = Grpc::new(channel);
        client.ready().await.map_err(unready)?;
        let response = client.unary(request, rpc::path(&self.rpc), DynamicCodec::new(&self.rpc));
        // The channel watches over the beginning of an answer only.
        let response = tokio::time::timeout(self.client.deadline, response).await;
        let late = |_| Status::from_error(Box::new(TimeoutExpired(())));
        print(&response.map_err(late)??.into_inner(), true);
        Ok(())
    }

    /// Makes a call with a stream of requests or of responses, each of which is printed on a
    /// line of its own. It may take as long as it wants.
    async fn stream(
        &self,
        channel: InterceptedService<ServerChannel, Credentials>,
        requests: Vec<DynamicMessage>,
    ) -> Result<(), Status> {
        let mut client = Grpc::new(channel);
        client.ready().await.map_err(unready)?;
        let request = Request::new(tokio_stream::iter(requests));
        let response =
            client.streaming(request, rpc::path(&self.rpc), DynamicCodec::new(&self.rpc));
        let mut responses = response.await?.into_inner();
        while let Some(response) = responses.next().await {
            print(&response?, false);
        }
        Ok(())
    }
}

fn unready(error: tonic::transport::Error) -> Status {
    Status::from_error(error.into())
}

/// Prints a message as JSON, with the fields that are not set and have a default.
fn print(message: &DynamicMessage, is_pretty: bool) {
    let options = SerializeOptions::new().skip_default_fields(false);
    let mut json = Vec::new();
    let written = if is_pretty {
        let mut serializer = serde_json::Serializer::pretty(&mut json);
        message.serialize_with_options(&mut serializer, &options)
    } else {
        let mut serializer = serde_json::Serializer::new(&mut json);
        message.serialize_with_options(&mut serializer, &options)
    };
    written.expect("a message makes JSON");
    json.push(b'\n');
    super::print(&String::from_utf8_lossy(&json));
}
