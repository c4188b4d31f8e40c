//! What web pages may do: nothing, but for those whose origin the settings name.
//!
//! A browser sends calls of gRPC-Web and Connect for any page, and adds the page's origin.
//! A page that is none of the operator's is refused. It may have had its own name resolve to
//! this server's address (DNS rebinding), so that the browser takes the server for the
//! page's own; where no caller has to show a key, such a name must not get an answer. An
//! address or `localhost` is no name that somebody else could have had resolved. No browser
//! speaks gRPC itself: it knows HTTP/2 by TLS only, where the certificate has the names.

use std::net::IpAddr;

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HOST,
        ORIGIN, VARY,
    },
    uri::Authority,
};
use tonic::body::Body;

use super::{protocol, reply::Reply};
use crate::server::config::Doors;

/// The headers that a page may send, besides those that it always may: those of the
/// dialects, the key, the app, the id of the call, and its trace.
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, connect-protocol-version, connect-timeout-ms, content-encoding, \
     content-type, grpc-accept-encoding, grpc-encoding, grpc-timeout, mesibo-app, traceparent, \
     tracestate, x-grpc-web, x-request-id, x-user-agent",
);

/// The headers that a page may read, besides those that it always may.
const RESPONSE_HEADERS: HeaderValue = HeaderValue::from_static(
    "content-encoding, grpc-encoding, grpc-message, grpc-retry-pushback-ms, grpc-status, \
     grpc-status-details-bin, request-replayed, retry-after, x-request-id",
);

/// How long a browser may remember the answer to a preflight, in seconds: as long as
/// Chromium does at the most.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

const LOCALHOST: &str = "localhost";

/// The origin of the page that makes a request, if the settings name it.
pub(super) fn origin<B>(request: &Request<B>, doors: &Doors) -> Option<HeaderValue> {
    let mut origins = doors.cors_origins.iter();
    let origin = request.headers().get(ORIGIN)?;
    origins.find(|allowed| *allowed == origin).cloned()
}

/// The answer to the question of a browser whether a page of an origin that the settings
/// name may make a call. `None` if it is no such question.
pub(super) fn preflight<B>(
    request: &Request<B>,
    origin: Option<&HeaderValue>,
) -> Option<Response<Reply>> {
    let origin = origin.filter(|_| request.method() == Method::OPTIONS)?;
    let asks = request
        .headers()
        .contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    asks.then(|| {
        let mut response = Response::new(Reply::Empty);
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        let methods = HeaderValue::from_static("POST");
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
        headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(VARY, ORIGIN.into());
        response
    })
}

/// Lets a page of an origin that the settings name read a response.
pub(super) fn let_read(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, RESPONSE_HEADERS);
    headers.append(VARY, ORIGIN.into());
}

/// The response to a call that a page must not make. `is_open` says that no caller has to
/// show who it is.
pub(super) fn refuse<B>(
    request: &Request<B>,
    doors: &Doors,
    is_open: bool,
) -> Option<Response<Body>> {
    let host = host(request);
    let text = if is_open && !host.as_ref().is_some_and(|host| is_safe(host, doors)) {
        "without callers, the host of a request must be an IP address, localhost or that of one \
         of cors-origins"
    } else if !is_own(request, host.as_ref()) && origin(request, doors).is_none() {
        "web pages of this origin may not make calls; the setting cors-origins names those that \
         may"
    } else {
        return None;
    };
    let (method, status) = (request.method(), StatusCode::FORBIDDEN);
    Some(protocol::line(method, status, text.to_owned()))
}

/// The host and the port that a request is for, RFC 9110, section 7.2.
fn host<B>(request: &Request<B>) -> Option<Authority> {
    if let Some(authority) = request.uri().authority() {
        return Some(authority.clone());
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return None;
    };
    Authority::try_from(host.as_bytes()).ok()
}

/// Whether nobody else can have had the name of a host resolved.
fn is_safe(host: &Authority, doors: &Doors) -> bool {
    let name = host.host();
    let address = name.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let is_address = address.unwrap_or(name).parse::<IpAddr>().is_ok();
    let mut origins = doors.cors_origins.iter();
    is_address || name.eq_ignore_ascii_case(LOCALHOST) || origins.any(|origin| is_at(origin, host))
}

/// Whether a request is from no page, or from one of this server itself.
fn is_own<B>(request: &Request<B>, host: Option<&Authority>) -> bool {
    let mut origins = request.headers().get_all(ORIGIN).iter();
    origins.all(|origin| host.is_some_and(|host| is_at(origin, host)))
}

/// Whether an origin is at a host and a port.
fn is_at(origin: &HeaderValue, host: &Authority) -> bool {
    let at = origin.to_str().ok().and_then(|it| it.split_once("://"));
    at.is_some_and(|(_, at)| at.eq_ignore_ascii_case(host.as_str()))
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;
    use crate::server::config::Dialect;

    const CONSOLE: &str = "https://console.example.com";

    fn doors() -> Doors {
        Doors {
            protocols: Dialect::ALL.into(),
            cors_origins: vec![HeaderValue::from_static(CONSOLE)],
        }
    }

    fn request(headers: &[(HeaderName, &str)]) -> Request<()> {
        let mut request = Request::post("/mesibo.v1.UserService/ListUsers");
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        request.body(()).unwrap()
    }

    #[test]
    fn a_name_that_others_can_have_resolved_is_no_host_without_callers() {
        let refused = |host: &[&str], is_open| {
            let hosts: Vec<_> = host.iter().map(|host| (HOST, *host)).collect();
            refuse(&request(&hosts), &doors(), is_open).is_some()
        };
        for safe in [
            "127.0.0.1",
            "127.0.0.1:50051",
            "[::1]:50051",
            "[::1]",
            "10.1.2.3:1",
            "localhost",
            "LocalHost:50051",
            "console.example.com",
        ] {
            assert!(!refused(&[safe], true), "{safe}");
        }
        for other in [
            "attacker.example",
            "attacker.example:50051",
            "127.0.0.1.attacker.example",
            "localhost.attacker.example",
            "127.0.0.1@attacker.example",
            "console.example.com:50051",
            "",
            "a b",
        ] {
            assert!(refused(&[other], true), "{other}");
            assert!(!refused(&[other], false), "{other}");
        }
        assert!(refused(&[], true));
        assert!(refused(&["127.0.0.1", "attacker.example"], true));
    }

    #[test]
    fn a_page_makes_calls_from_an_origin_of_the_settings_or_of_the_server_itself() {
        let refused = |origins: &[&str]| {
            let mut headers = vec![(HOST, "127.0.0.1:50051")];
            headers.extend(origins.iter().map(|origin| (ORIGIN, *origin)));
            refuse(&request(&headers), &doors(), true).is_some()
        };
        for own in [&[][..], &[CONSOLE], &["http://127.0.0.1:50051"]] {
            assert!(!refused(own), "{own:?}");
        }
        for other in [
            &["null"][..],
            &["https://attacker.example"],
            &["http://console.example.com"],
            &["https://console.example.com:8443"],
            &["https://console.example.com.attacker.example"],
            &["http://127.0.0.1:50052"],
            &["http://127.0.0.1:50051", "https://attacker.example"],
        ] {
            assert!(refused(other), "{other:?}");
        }
    }
}
