//! How the program is started: by an image, a manifest or a unit.

use std::{collections::BTreeMap, fs, net::SocketAddr, path::Path, process::Output};

use mesibo_grpc::{
    cli::{self, Task},
    config::Config,
};
use tempfile::TempDir;

use super::{image, read};
use crate::{
    support::{Process, TOKEN, postgres::PASSWORD, process::command, write_private},
    tls::authority::{Authority, Identity},
};

/// A start.
#[derive(Clone, Default)]
pub struct Start {
    pub args: Vec<String>,
    pub env: BTreeMap<String, String>,
    /// What the files hold that it finds, by their paths.
    pub files: BTreeMap<String, String>,
    /// The paths of folders that it may write to.
    pub folders: Vec<String>,
}

/// What an operator brings along, by the names of the files in docs/operations.md.
pub fn brought() -> BTreeMap<&'static str, String> {
    let Identity { certificate, key } = Authority::new().issue(&["mesibo-grpc"]);
    BTreeMap::from([
        ("token", TOKEN.to_owned()),
        ("settings.toml", read("settings.toml")),
        ("tls.crt", certificate),
        ("tls.key", key),
        (
            "store-url",
            "postgres://mesibo@db.example.com/mesibo".to_owned(),
        ),
        ("store-password", PASSWORD.to_owned()),
    ])
}

impl Start {
    /// A start of the image, which has an environment of its own.
    pub fn of_image(args: Vec<String>) -> Self {
        Self {
            args,
            env: image::environment(),
            ..Self::default()
        }
    }

    /// Its settings, as the program reads them. Files are where they are, at the paths
    /// that the settings say, but for a folder before them.
    pub fn task(&self) -> Result<Task, String> {
        let root = self.root();
        let flags = self.env.iter().map(|(name, value)| {
            let name = name.strip_prefix("MESIBO_").unwrap();
            let name = name.strip_prefix("GRPC_").unwrap_or(name);
            let flag = name.to_lowercase().replace('_', "-");
            format!("--{flag}={}", self.in_root(root.path(), value))
        });
        let args = self.args.iter().map(|arg| self.in_root(root.path(), arg));
        let line = ["mesibo-grpc".to_owned()].into_iter();
        let line = line.chain(args).chain(flags);
        cli::parse(line.map(Into::into)).map_err(|failure| failure.to_string())
    }

    /// The settings of `serve`.
    pub fn config(&self) -> Config {
        match self.task() {
            Ok(Task::Serve(config)) => config,
            other => panic!("expected serve, not {other:?}"),
        }
    }

    /// Starts it, on ports that the system chooses.
    pub fn run(&self) -> (Process, TempDir) {
        let root = self.root();
        let args: Vec<_> = self
            .args
            .iter()
            .map(|arg| self.in_root(root.path(), arg))
            .collect();
        let mut command = command(&args.iter().map(String::as_str).collect::<Vec<_>>());
        for (name, value) in &self.env {
            let value = match value.parse::<SocketAddr>() {
                Ok(_) => "127.0.0.1:0".to_owned(),
                Err(_) => self.in_root(root.path(), value),
            };
            command.env(name, value);
        }
        command.env("MESIBO_GRPC_METRICS_LISTEN", "127.0.0.1:0");
        (Process::start(command), root)
    }

    /// Runs another command to its end in the place of the first word.
    pub fn output_of(&self, name: &str) -> Output {
        let root = self.root();
        let args = self.args.iter().skip(1);
        let args = args.map(|arg| self.in_root(root.path(), arg));
        let args: Vec<_> = [name.to_owned()].into_iter().chain(args).collect();
        let mut command = command(&args.iter().map(String::as_str).collect::<Vec<_>>());
        for (name, value) in &self.env {
            command.env(name, self.in_root(root.path(), value));
        }
        command.output().unwrap()
    }

    /// A folder with the files.
    fn root(&self) -> TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in &self.files {
            let path = root.path().join(path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            write_private(&path, content);
        }
        for path in &self.folders {
            fs::create_dir_all(root.path().join(path.trim_start_matches('/'))).unwrap();
        }
        root
    }

    /// A word of the command line, in which a path is one in the folder.
    fn in_root(&self, root: &Path, word: &str) -> String {
        let paths = self.files.keys().chain(&self.folders);
        paths.fold(word.to_owned(), |word, path| {
            word.replace(
                path,
                root.join(path.trim_start_matches('/')).to_str().unwrap(),
            )
        })
    }
}
