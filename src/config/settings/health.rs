//! The server that `health` asks.

use url::Url;

use super::{Group, Places, Setting};
use crate::config::values::{self, files, urls};

pub(crate) const ADDRESS: Setting<Url> =
    Setting::new(Group::Health, "address", "URL", urls::server)
        .places(Places::NotInFile)
        .default("http://127.0.0.1:50051")
        .common()
        .help("URL of the server to ask");

pub(crate) const CA_FILE: Setting<Vec<u8>> =
    Setting::new(Group::Health, "ca-file", "FILE", files::certificates)
        .places(Places::NotInFile)
        .common()
        .help("PEM file of certificate authorities to trust besides the system's, for https");

pub(crate) const SERVICE: Setting<String> =
    Setting::new(Group::Health, "service", "NAME", values::any)
        .places(Places::NotInFile)
        .default("")
        .common()
        .help("Full name of the service to ask for; the server as a whole if empty");
