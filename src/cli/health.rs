//! `health`: asks a running server whether it serves.

use std::{error::Error, time::Duration};

use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::Failure;
use crate::config::HealthConfig;

/// Longest time to an answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Asks the server. Whatever is not SERVING is a failure.
pub(super) async fn run(config: HealthConfig) -> Result<(), Failure> {
    let address = config.address.to_string();
    match tokio::time::timeout(TIMEOUT, ask(config)).await {
        Ok(Ok(ServingStatus::Serving)) => Ok(()),
        Ok(Ok(status)) => Err(Failure::new(format_args!(
            "{address} is {}",
            status.as_str_name()
        ))),
        Ok(Err(error)) => Err(Failure::of(&format!("cannot ask {address}"), &*error)),
        Err(_) => Err(Failure::new(format_args!("{address} does not answer"))),
    }
}

async fn ask(config: HealthConfig) -> Result<ServingStatus, Box<dyn Error>> {
    let is_tls = config.address.scheme() == "https";
    let mut endpoint = Endpoint::from_shared(config.address.to_string())?;
    if is_tls {
        let authorities = config.ca_certificates.map(Certificate::from_pem);
        let tls = ClientTlsConfig::new().with_native_roots();
        endpoint = endpoint.tls_config(tls.ca_certificates(authorities))?;
    }
    let channel = endpoint.connect().await?;
    let request = HealthCheckRequest {
        service: config.service,
    };
    let response = HealthClient::new(channel).check(request).await?;
    Ok(response.into_inner().status())
}
