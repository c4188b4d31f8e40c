//! The way to Mesibo.

use std::path::PathBuf;

use mesibo::{Protocol, Proxy};
use secrecy::SecretString;
use url::Url;

use super::{Group, Places, Setting};
use crate::config::values::{self, files, urls};

pub(crate) const APP_TOKEN: Setting<SecretString> =
    Setting::new(Group::Mesibo, "app-token", "TOKEN", values::token)
        .env("MESIBO_APP_TOKEN")
        .places(Places::Environment)
        .secret()
        .help("Token of the Mesibo application, from the environment only");

/// The token, and the path of its file.
pub(crate) const APP_TOKEN_FILE: Setting<(SecretString, PathBuf)> = Setting::new(
    Group::Mesibo,
    "app-token-file",
    "FILE",
    files::token_with_path,
)
.env("MESIBO_APP_TOKEN_FILE")
.common()
.help("File that holds the token of the Mesibo application");

pub(crate) const UPSTREAM_URL: Setting<Url> =
    Setting::new(Group::Mesibo, "upstream-url", "URL", urls::upstream)
        .default("https://api.mesibo.com/api.php")
        .secret()
        .help("URL of Mesibo's backend API; plain HTTP is for a loopback address");

pub(crate) const UPSTREAM_PROXY: Setting<Proxy> =
    Setting::new(Group::Mesibo, "upstream-proxy", "URL", urls::proxy)
        .secret()
        .common()
        .help(
            "HTTP proxy on the way to Mesibo; a loopback upstream is never proxied. A password \
             in it is for the environment and the settings file only",
        );

/// The password, and the path of its file.
pub(crate) const UPSTREAM_PROXY_PASSWORD_FILE: Setting<(SecretString, PathBuf)> = Setting::new(
    Group::Mesibo,
    "upstream-proxy-password-file",
    "FILE",
    files::password,
)
.help("File that holds the password for the user in upstream-proxy");

pub(crate) const UPSTREAM_CA_FILE: Setting<Vec<u8>> = Setting::new(
    Group::Mesibo,
    "upstream-ca-file",
    "FILE",
    files::certificates,
)
.help("PEM file of certificate authorities to trust besides the system's");

pub(crate) const UPSTREAM_PROTOCOL: Setting<Protocol> = Setting::new(
    Group::Mesibo,
    "upstream-protocol",
    "auto|http1|http2",
    values::protocol,
)
.default("auto")
.help(
    "Version of HTTP that Mesibo is spoken to in: auto, HTTP/2 where Mesibo offers it in the TLS \
     handshake and HTTP/1.1 elsewhere; http1; or http2, without TLS too",
);
