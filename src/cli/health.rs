//! `health`: asks a running server whether it serves.

use std::time::Duration;

use tonic::{Code, Status};

use super::{
    Failure,
    client::{connect, of_connection},
};
use crate::{
    config::HealthConfig,
    proto::health::{
        HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
    },
};

/// Longest time to an answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Asks the server, and prints its answer. Any answer but SERVING is a failure.
pub(super) async fn run(config: HealthConfig) -> Result<(), Failure> {
    let asked = tokio::time::timeout(TIMEOUT, ask(&config)).await;
    let status = asked.unwrap_or_else(|_| Err(format!("it does not answer within {TIMEOUT:?}")));
    let url = &config.server.url;
    match status.map(|status| status.as_str_name()) {
        Ok("SERVING") => {
            super::print("SERVING\n");
            Ok(())
        }
        Ok(other) => Err(Failure::new(format_args!("{url} is {other}"))),
        Err(why) => Err(Failure::new(format_args!("cannot ask {url}: {why}"))),
    }
}

/// The answer of the server, or in words why there is none.
async fn ask(config: &HealthConfig) -> Result<ServingStatus, String> {
    let channel = connect(&config.server).await?;
    let request = HealthCheckRequest {
        service: config.service.clone(),
    };
    let response = HealthClient::new(channel).check(request).await;
    let response = response.map_err(|status| why(&status, config))?;
    Ok(response.into_inner().status())
}

/// Why a call failed.
fn why(status: &Status, config: &HealthConfig) -> String {
    of_connection(status, &config.server.url).unwrap_or_else(|| match status.code() {
        Code::NotFound => format!("it has no service {:?}", config.service),
        Code::Unimplemented => "it has no gRPC health service".into(),
        _ => format!("it answers {:?}: {}", status.code(), status.message()),
    })
}
