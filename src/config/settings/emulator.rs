//! The emulator of `sandbox`.

use std::{net::SocketAddr, path::PathBuf};

use mesibo_sandbox::{Hosts, Origins, Tokens};

use super::{Group, Setting};
use crate::config::values::{self, emulator, files};

pub(crate) const EMULATOR_LISTEN: Setting<SocketAddr> =
    Setting::new(Group::Emulator, "emulator-listen", "ADDR", values::address)
        .default("127.0.0.1:50080")
        .common()
        .help("IP address and port of the emulated backend; port 0 lets the system choose");

pub(crate) const EMULATOR_TOKEN: Setting<Tokens> =
    Setting::new(Group::Emulator, "emulator-token", "TOKEN", emulator::tokens)
        .common()
        .help(
            "Application token that the emulator takes, and TOKEN-NAME for the world NAME; if not \
             set, it takes every token, sandbox and sandbox-NAME among them",
        );

pub(crate) const EMULATOR_HOST: Setting<Hosts> =
    Setting::new(Group::Emulator, "emulator-host", "NAMES", emulator::hosts)
        .default("")
        .help(
            "Names that the Host of a request to the emulator may have besides IP addresses and \
             localhost, separated by commas; or *, for any",
        );

pub(crate) const EMULATOR_CORS: Setting<Origins> = Setting::new(
    Group::Emulator,
    "emulator-cors",
    "ORIGINS",
    emulator::origins,
)
.default("")
.help(
    "Origins of the web pages whose scripts may call the emulator, such as \
     http://localhost:5173, separated by commas; or *, for any",
);

pub(crate) const FAULTS: Setting<PathBuf> =
    Setting::new(Group::Emulator, "faults", "FILE", files::path)
        .common()
        .help("JSON file with the fault rules to begin with");

pub(crate) const SEED: Setting<PathBuf> =
    Setting::new(Group::Emulator, "seed", "FILE", files::path)
        .common()
        .help("JSON file with the snapshot to begin with, if there is no file of data yet");

pub(crate) const DATA: Setting<PathBuf> = Setting::new(
    Group::Emulator,
    "data",
    "FILE",
    files::path,
)
.common()
.help("File in which the emulator keeps what it holds over restarts; nothing is kept if not set");
