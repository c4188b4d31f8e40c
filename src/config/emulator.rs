//! The emulator in the settings.

use std::{net::SocketAddr, path::PathBuf};

use mesibo_sandbox::{Builder, Hosts, Origins, Sandbox, Tokens};

use super::{reader::Reader, settings};

/// The settings of the emulator.
#[derive(Debug)]
pub struct EmulatorConfig {
    /// The address that it listens on.
    pub listen: SocketAddr,
    /// The application tokens that it takes.
    pub tokens: Tokens,
    /// The names that the `Host` of a request may have.
    pub hosts: Hosts,
    /// The origins whose scripts may call it.
    pub origins: Origins,
    /// The file of the fault rules to begin with.
    pub faults: Option<PathBuf>,
    /// The file of the snapshot to begin with.
    pub seed: Option<PathBuf>,
    /// The file that keeps what it holds.
    pub data: Option<PathBuf>,
}

impl EmulatorConfig {
    /// The sandbox with these settings.
    pub fn builder(self) -> Builder {
        let mut builder = Sandbox::builder()
            .listen(self.listen)
            .tokens(self.tokens)
            .hosts(self.hosts)
            .origins(self.origins);
        if let Some(file) = self.faults {
            builder = builder.faults_file(file);
        }
        if let Some(file) = self.seed {
            builder = builder.seed_file(file);
        }
        if let Some(file) = self.data {
            builder = builder.data_file(file);
        }
        builder
    }
}

impl Reader<'_> {
    /// The emulator of `sandbox`.
    pub(super) fn emulator(&mut self) -> EmulatorConfig {
        EmulatorConfig {
            listen: self.get(&settings::EMULATOR_LISTEN),
            tokens: self.find(&settings::EMULATOR_TOKEN).unwrap_or_default(),
            hosts: self.get(&settings::EMULATOR_HOST),
            origins: self.get(&settings::EMULATOR_CORS),
            faults: self.find(&settings::FAULTS),
            seed: self.find(&settings::SEED),
            data: self.find(&settings::DATA),
        }
    }
}
