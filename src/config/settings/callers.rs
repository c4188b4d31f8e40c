//! Who may call. The callers themselves are tables of the settings file.

use super::{Group, SWITCH, Setting};
use crate::config::values;

pub(crate) const ALLOW_ANONYMOUS: Setting<bool> =
    Setting::new(Group::Callers, "allow-anonymous", SWITCH, values::switch)
        .default("false")
        .help("Serve every client, without callers, on an address that other machines reach");

pub(crate) const ALLOW_PLAINTEXT: Setting<bool> =
    Setting::new(Group::Callers, "allow-plaintext", SWITCH, values::switch)
        .default("false")
        .help(
            "Take keys without TLS on an address that other machines reach: a proxy in front \
             terminates TLS",
        );

pub(crate) const OPEN_REFLECTION: Setting<bool> =
    Setting::new(Group::Callers, "open-reflection", SWITCH, values::switch)
        .default("false")
        .help("Let every client use server reflection, without a key");

pub(crate) const DEFAULT_APP: Setting<String> =
    Setting::new(Group::Callers, "default-app", "NAME", values::any)
        .help("App of calls that name none in the metadata mesibo-app; the only one if not set");
