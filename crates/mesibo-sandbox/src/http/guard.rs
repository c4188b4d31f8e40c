//! Access control by the `Host` and the `Origin` of a request.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, HOST, ORIGIN, X_CONTENT_TYPE_OPTIONS};
use http::uri::Authority;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::settings::{Hosts, Origins};

/// The hosts and origins that are allowed.
#[derive(Clone)]
pub(crate) struct Guard {
    hosts: Hosts,
    origins: Origins,
}

impl Guard {
    pub(crate) fn new(hosts: Hosts, origins: Origins) -> Arc<Self> {
        Arc::new(Self { hosts, origins })
    }

    /// The headers that let scripts of other origins read answers.
    pub(super) fn cors(&self) -> CorsLayer {
        let origins = match &self.origins {
            Origins::Any => AllowOrigin::any(),
            Origins::Named(origins) => {
                let origins = origins
                    .iter()
                    .filter_map(|origin| HeaderValue::from_str(origin).ok());
                AllowOrigin::list(origins)
            }
        };
        let any = tower_http::cors::Any;
        CorsLayer::new()
            .allow_origin(origins)
            .allow_methods(any)
            .allow_headers(any)
    }

    fn lets_host(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else {
            return false;
        };
        let name = authority.host();
        let address = name.trim_start_matches('[').trim_end_matches(']');
        if address.parse::<IpAddr>().is_ok() || name.eq_ignore_ascii_case("localhost") {
            return true;
        }
        match &self.hosts {
            Hosts::Any => true,
            Hosts::Named(hosts) => hosts.iter().any(|host| host.eq_ignore_ascii_case(name)),
        }
    }

    /// Whether a script of this origin may change something: that of the sandbox's own
    /// page, and those that are named.
    fn lets_origin(&self, origin: &str, host: &str) -> bool {
        let own = origin
            .split_once("://")
            .is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host));
        own || match &self.origins {
            Origins::Any => true,
            Origins::Named(origins) => origins.iter().any(|known| known == origin),
        }
    }
}

/// Refuses requests by the name of a host that is not allowed, and changes by scripts
/// of other origins.
pub(super) async fn check(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Response {
    let Some(host) = header(&request, &HOST) else {
        return (StatusCode::BAD_REQUEST, "a request needs a Host header\n").into_response();
    };
    if !guard.lets_host(&host) {
        let text = "the Host of a request must be an IP address or localhost, or a name that \
                    the sandbox was told to allow\n";
        return (StatusCode::MISDIRECTED_REQUEST, text).into_response();
    }
    let safe = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
    if request.uri().path().starts_with("/sandbox")
        && !safe
        && let Some(origin) = header(&request, &ORIGIN)
        && !guard.lets_origin(&origin, &host)
    {
        let text = "scripts of this origin may not change the sandbox; it can be told to allow \
                    the origin\n";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

/// A header's value, as text that equals nothing allowed if it is not readable.
fn header(request: &Request, name: &HeaderName) -> Option<String> {
    let value = request.headers().get(name)?;
    Some(value.to_str().unwrap_or("?").to_owned())
}
