//! The running server that `health`, `call` and other clients ask, and who asks.
//!
//! The keys of a settings file are for clients that call RPCs. `health` reads none: a probe
//! must not fail because a file is being changed.

use std::{path::PathBuf, time::Duration};

use secrecy::SecretString;
use url::Url;

use super::{Group, Places, Setting};
use crate::{
    config::values::{self, callers, files, urls},
    files::Content,
};

pub(crate) const ADDRESS: Setting<Url> =
    Setting::new(Group::Client, "address", "URL", urls::server)
        .default("http://127.0.0.1:50051")
        .common()
        .help("URL of the server to ask");

pub(crate) const CA_FILE: Setting<Vec<u8>> =
    Setting::new(Group::Client, "ca-file", "FILE", files::certificates)
        .common()
        .help("PEM file of certificate authorities to trust besides the system's, for https");

pub(crate) const CERTIFICATE_FILE: Setting<Vec<u8>> = Setting::new(
    Group::Client,
    "certificate-file",
    "FILE",
    files::certificates,
)
.help("PEM file of the client's certificate and its chain, for a server with mutual TLS");

pub(crate) const CERTIFICATE_KEY_FILE: Setting<Content> = Setting::new(
    Group::Client,
    "certificate-key-file",
    "FILE",
    files::private_key,
)
.help("PEM file of the private key of certificate-file");

pub(crate) const SERVICE: Setting<String> =
    Setting::new(Group::Client, "service", "NAME", values::any)
        .places(Places::NotInFile)
        .default("")
        .common()
        .help("Full name of the service to ask for; the server as a whole if empty");

pub(crate) const KEY: Setting<SecretString> =
    Setting::new(Group::Client, "key", "KEY", callers::plain_key)
        .places(Places::Environment)
        .secret()
        .help("Key of the caller, from the environment only");

/// The key, and the path of its file.
pub(crate) const KEY_FILE: Setting<(SecretString, PathBuf)> =
    Setting::new(Group::Client, "key-file", "FILE", files::plain_key)
        .common()
        .help("File that holds the key of the caller");

pub(crate) const APP: Setting<String> = Setting::new(Group::Client, "app", "NAME", callers::app)
    .common()
    .help("App to call for, which the metadata mesibo-app names; the server's default if not set");

pub(crate) const DEADLINE: Setting<Duration> =
    Setting::new(Group::Client, "deadline", "TIME", values::duration)
        .default("10s")
        .common()
        .help("Longest time to the answer of a call");
