//! `health`: asks a running server whether it serves.

use std::{
    error::Error,
    io::{self, ErrorKind},
    iter::successors,
    time::Duration,
};

use mesibo::chain;
use tonic::{
    Code, Status,
    transport::{self, Certificate, ClientTlsConfig, Endpoint},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use url::Url;

use super::Failure;
use crate::config::HealthConfig;

/// Longest time to an answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Asks the server, and prints its answer. Any answer but SERVING is a failure.
pub(super) async fn run(config: HealthConfig) -> Result<(), Failure> {
    let address = config.address.clone();
    let asked = tokio::time::timeout(TIMEOUT, ask(config)).await;
    let status = asked.unwrap_or_else(|_| Err(format!("it does not answer within {TIMEOUT:?}")));
    match status.map(|status| status.as_str_name()) {
        Ok("SERVING") => {
            super::print("SERVING\n");
            Ok(())
        }
        Ok(other) => Err(Failure::new(format_args!("{address} is {other}"))),
        Err(why) => Err(Failure::new(format_args!("cannot ask {address}: {why}"))),
    }
}

/// The answer of the server, or in words why there is none.
async fn ask(config: HealthConfig) -> Result<ServingStatus, String> {
    let address = &config.address;
    let wrong = |error: transport::Error| of_transport(&error, address);
    let mut endpoint = Endpoint::from_shared(address.to_string()).map_err(wrong)?;
    if address.scheme() == "https" {
        let authorities = config.ca_certificates.map(Certificate::from_pem);
        let tls = ClientTlsConfig::new().with_native_roots();
        let tls = tls.ca_certificates(authorities);
        endpoint = endpoint.tls_config(tls).map_err(wrong)?;
    }
    let channel = endpoint.connect().await.map_err(wrong)?;
    let request = HealthCheckRequest {
        service: config.service.clone(),
    };
    let response = HealthClient::new(channel).check(request).await;
    let response = response.map_err(|status| of_status(&status, &config.service, address))?;
    Ok(response.into_inner().status())
}

/// Why a call failed.
fn of_status(status: &Status, service: &str, address: &Url) -> String {
    if status.source().is_some() {
        return of_transport(status, address);
    }
    match status.code() {
        Code::NotFound => format!("it has no service {service:?}"),
        Code::Unimplemented => "it has no gRPC health service".into(),
        _ => format!("it answers {:?}: {}", status.code(), status.message()),
    }
}

/// Why a connection failed.
fn of_transport(error: &(dyn Error + 'static), address: &Url) -> String {
    let causes = || successors(Some(error), |&error| error.source());
    let other_scheme = match address.scheme() {
        "https" => "; perhaps it serves plaintext, at http://",
        _ => "; perhaps it serves TLS, at https://",
    };
    let io = causes().find_map(|cause| cause.downcast_ref::<io::Error>());
    // The source of an I/O error is not the error that it wraps, but the source of that.
    let tls = io.and_then(|error| error.get_ref()?.downcast_ref::<rustls::Error>());
    if let Some(error) = tls {
        let hint = match error {
            rustls::Error::InvalidMessage(_) => other_scheme,
            rustls::Error::InvalidCertificate(_) => "; --ca-file names an authority to trust",
            _ => "",
        };
        return format!("the TLS handshake failed: {error}{hint}");
    }
    match io.map(io::Error::kind) {
        Some(ErrorKind::ConnectionRefused) => {
            return "it refuses connections; is the server running?".into();
        }
        Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof) => {
            return format!("it closes the connection{other_scheme}");
        }
        _ => {}
    }
    if causes().any(<dyn Error>::is::<hyper::Error>) {
        return format!("it does not speak gRPC{other_scheme}");
    }
    chain(error)
}
