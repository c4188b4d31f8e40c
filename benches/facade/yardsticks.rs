//! What the facade is measured by.

use std::time::Duration;

use mesibo_grpc::proto::{
    SendMessageRequest, SendMessageResponse, SendMessagesRequest, SendMessagesResponse,
    message_service_server::{MessageService, MessageServiceServer},
    send_message_request::Recipient,
};
use serde_json::Value;
use tokio_stream::Empty;
use tonic::{
    Request, Response, Status, Streaming,
    transport::{self, Server, ServerTlsConfig, server::TcpIncoming},
};

use crate::{identity::Identity, process};

/// Answers without asking anybody.
struct Bare;

/// The shortest honest facade: a form, a POST, a JSON value.
struct Plain {
    client: reqwest::Client,
    url: String,
}

/// The answers of streams, which yardsticks do not have.
type NoStream = Empty<Result<SendMessagesResponse, Status>>;

/// Serves the one until the parent goes away, with TLS if it has an identity.
pub async fn bare(identity: Option<Identity>) {
    serve(Bare, identity).await;
}

/// Serves the other, in front of a backend that has the same identity.
pub async fn plain(url: &str, identity: Option<Identity>) {
    // reqwest wants one, even where nothing is encrypted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let timeout = Duration::from_secs(15);
    let mut client = reqwest::Client::builder().timeout(timeout);
    if let Some(identity) = &identity {
        let certificate = reqwest::Certificate::from_pem(identity.certificate().as_bytes());
        client = client.tls_certs_only([certificate.expect("it is one")]);
    }
    let plain = Plain {
        client: client.build().expect("the settings are valid"),
        url: url.to_owned(),
    };
    serve(plain, identity).await;
}

async fn serve(service: impl MessageService, identity: Option<Identity>) {
    let incoming = TcpIncoming::from(process::listen().await).with_nodelay(Some(true));
    let mut server = Server::builder();
    if let Some(identity) = identity {
        let identity = transport::Identity::from_pem(identity.certificate(), identity.key());
        let tls = ServerTlsConfig::new().identity(identity);
        server = server.tls_config(tls).expect("the identity is valid");
    }
    let server = server.add_service(MessageServiceServer::new(service));
    process::until_the_parent_goes(server.serve_with_incoming(incoming)).await;
}

#[tonic::async_trait]
impl MessageService for Bare {
    type SendMessagesStream = NoStream;

    async fn send_message(
        &self,
        _: Request<SendMessageRequest>,
    ) -> Result<Response<SendMessageResponse>, Status> {
        let message_id = Some(1_387_628);
        Ok(Response::new(SendMessageResponse { message_id }))
    }

    async fn send_messages(
        &self,
        _: Request<Streaming<SendMessagesRequest>>,
    ) -> Result<Response<NoStream>, Status> {
        Err(Status::unimplemented("a yardstick has no streams"))
    }
}

#[tonic::async_trait]
impl MessageService for Plain {
    type SendMessagesStream = NoStream;

    async fn send_message(
        &self,
        request: Request<SendMessageRequest>,
    ) -> Result<Response<SendMessageResponse>, Status> {
        let request = request.into_inner();
        let mut form = vec![
            ("op", "message".to_owned()),
            ("token", "t0k".to_owned()),
            ("from", request.from_address),
            ("msg", request.message),
        ];
        match request.recipient {
            Some(Recipient::ToAddress(to)) => form.push(("to", to)),
            Some(Recipient::Gid(gid)) => form.push(("gid", gid.to_string())),
            None => return Err(Status::invalid_argument("no recipient")),
        }
        let unavailable = |error: reqwest::Error| Status::unavailable(error.to_string());
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let post = self
            .client
            .post(&self.url)
            .body(body)
            .header("content-type", "application/x-www-form-urlencoded");
        let response = post.send().await.map_err(unavailable)?;
        let reply = response.bytes().await.map_err(unavailable)?;
        let reply: Value =
            serde_json::from_slice(&reply).map_err(|error| Status::internal(error.to_string()))?;
        if reply["result"] != true {
            return Err(Status::unknown(reply["error"].to_string()));
        }
        let message_id = reply["mid"].as_u64();
        Ok(Response::new(SendMessageResponse { message_id }))
    }

    async fn send_messages(
        &self,
        _: Request<Streaming<SendMessagesRequest>>,
    ) -> Result<Response<NoStream>, Status> {
        Err(Status::unimplemented("a yardstick has no streams"))
    }
}
