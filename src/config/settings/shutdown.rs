//! The shutdown.

use std::time::Duration;

use super::{Group, Setting};
use crate::config::values;

pub(crate) const LAME_DUCK: Setting<Duration> =
    Setting::new(Group::Shutdown, "lame-duck", "DURATION", values::delay)
        .default("5s")
        .help(
            "How long new connections are still served after the beginning of a shutdown, \
             while health says NOT_SERVING",
        );

pub(crate) const SHUTDOWN_GRACE: Setting<Duration> = Setting::new(
    Group::Shutdown,
    "shutdown-grace",
    "DURATION",
    values::duration,
)
.default("20s")
.help("How long calls in flight may take to finish after lame-duck");
