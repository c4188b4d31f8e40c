//! The way of a command to a running server.

use std::{
    error::Error,
    io::{self, ErrorKind},
};

use mesibo::chain;
use secrecy::{ExposeSecret as _, SecretString};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::Interceptor,
    transport::{self, Certificate, ClientTlsConfig, Endpoint, Identity},
};
use url::Url;
use zeroize::Zeroizing;

use crate::{
    call::app::APP_HEADER,
    check::cause::{causes, io_error, tls_error},
    config::{ClientConfig, ServerAddress, settings},
    status::{ServerChannel, readable},
};

/// What every call of a client has in its metadata: who calls, and for which app.
#[derive(Clone)]
pub(super) struct Credentials {
    authorization: Option<MetadataValue<Ascii>>,
    app: Option<MetadataValue<Ascii>>,
}

impl Credentials {
    /// Those of the settings.
    pub(super) fn new(config: &ClientConfig) -> Self {
        let app = config.app.as_deref();
        Self {
            authorization: config.key.as_ref().map(bearer),
            app: app.map(|app| app.parse().expect("the name of an app is ASCII")),
        }
    }
}

impl Interceptor for Credentials {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let metadata = request.metadata_mut();
        if let Some(authorization) = &self.authorization {
            metadata.insert("authorization", authorization.clone());
        }
        if let Some(app) = &self.app {
            metadata.insert(APP_HEADER, app.clone());
        }
        Ok(request)
    }
}

/// The metadata of a key, which no `Debug` of it shows.
fn bearer(key: &SecretString) -> MetadataValue<Ascii> {
    let text = Zeroizing::new(format!("Bearer {}", key.expose_secret()));
    let mut value: MetadataValue<Ascii> = text.parse().expect("a key is ASCII");
    value.set_sensitive(true);
    value
}

/// A channel to a server, or in words why there is none.
pub(super) async fn connect(server: &ServerAddress) -> Result<ServerChannel, String> {
    let url = &server.url;
    let wrong = |error: transport::Error| of_transport(&error, url);
    let mut endpoint = Endpoint::from_shared(url.to_string()).map_err(wrong)?;
    if url.scheme() == "https" {
        let authorities = server.ca_certificates.as_ref().map(Certificate::from_pem);
        let tls = ClientTlsConfig::new().with_native_roots();
        let mut tls = tls.ca_certificates(authorities);
        if let Some(identity) = &server.identity {
            tls = tls.identity(Identity::from_pem(&identity.certificates, &*identity.key));
        }
        endpoint = endpoint.tls_config(tls).map_err(wrong)?;
    }
    endpoint.connect().await.map(readable).map_err(wrong)
}

/// Why a call has no answer, if the client made up its status: it has no connection.
pub(super) fn of_connection(status: &Status, url: &Url) -> Option<String> {
    status.source().map(|_| of_transport(status, url))
}

/// Why a connection failed.
fn of_transport(error: &(dyn Error + 'static), url: &Url) -> String {
    let other_scheme = match url.scheme() {
        "https" => "; perhaps it serves plaintext, at http://",
        _ => "; perhaps it serves TLS, at https://",
    };
    // Under TLS 1.3 a client learns only after its handshake that it lacks a certificate.
    let may_want = match url.scheme() {
        "https" => format!("; perhaps it wants --{}", settings::CERTIFICATE_FILE.name()),
        _ => String::new(),
    };
    if let Some(error) = tls_error(error) {
        let hint = match error {
            rustls::Error::InvalidMessage(_) => other_scheme.to_owned(),
            rustls::Error::InvalidCertificate(_) => {
                format!(
                    "; --{} names an authority to trust",
                    settings::CA_FILE.name()
                )
            }
            rustls::Error::AlertReceived(_) => format!(
                "; a server with mutual TLS wants --{}",
                settings::CERTIFICATE_FILE.name()
            ),
            _ => String::new(),
        };
        return format!("the TLS handshake failed: {error}{hint}");
    }
    match io_error(error).map(io::Error::kind) {
        Some(ErrorKind::ConnectionRefused) => {
            return "it refuses connections; is the server running?".into();
        }
        Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof) => {
            return format!("it closes the connection{may_want}{other_scheme}");
        }
        _ => {}
    }
    if causes(error).any(<dyn Error>::is::<hyper::Error>) {
        return format!("it does not speak gRPC{may_want}{other_scheme}");
    }
    chain(error)
}
