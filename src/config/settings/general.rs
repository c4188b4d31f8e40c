//! The settings file.

use std::path::PathBuf;

use super::{Group, Places, Setting};
use crate::config::values;

pub(crate) const CONFIG: Setting<PathBuf> =
    Setting::new(Group::General, "config", "FILE", values::any)
        .places(Places::NotInFile)
        .common()
        .help("TOML file with settings, by the names of their flags");
