//! Parsers of URLs.

use mesibo::{Proxy, is_loopback};
use url::Url;

/// The URL of Mesibo's API. The application's token goes along with every request, so
/// plain HTTP is for loopback addresses.
pub(in crate::config) fn upstream(text: &str) -> Result<Url, String> {
    let url = Url::parse(text)
        .ok()
        .filter(|url| url.has_host() && matches!(url.scheme(), "http" | "https"))
        .ok_or("expected a URL, such as https://api.mesibo.com/api.php")?;
    if url.query().is_some() || url.fragment().is_some() || has_credentials(&url) {
        return Err("expected a URL without query, fragment and credentials".into());
    }
    if url.scheme() == "http" && !is_loopback(&url) {
        return Err("expected https: plain HTTP is for a loopback address".into());
    }
    Ok(url)
}

/// The URL of an HTTP proxy, perhaps with credentials.
pub(in crate::config) fn proxy(text: &str) -> Result<Proxy, String> {
    Url::parse(text)
        .ok()
        .filter(|url| url.has_host() && url.scheme() == "http")
        .map(Proxy)
        .ok_or_else(|| "expected the URL of an HTTP proxy, such as http://10.0.0.1:3128".into())
}

/// The URL of a gRPC server, without a path.
pub(in crate::config) fn server(text: &str) -> Result<Url, String> {
    Url::parse(text)
        .ok()
        .filter(|url| url.has_host() && matches!(url.scheme(), "http" | "https"))
        .filter(|url| url.path() == "/" && url.query().is_none() && url.fragment().is_none())
        .filter(|url| !has_credentials(url))
        .ok_or_else(|| "expected a URL such as http://127.0.0.1:50051".into())
}

/// Whether a URL has a user name or a password.
fn has_credentials(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// Whether a text is a URL with a password.
pub(in crate::config) fn has_password(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| url.password().is_some())
}
