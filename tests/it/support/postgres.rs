//! A PostgreSQL server of the test's own, run by an ordinary user. The tests of the store
//! have this file among their modules as well.

use std::{
    env, fs,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::process::geteuid;
use tempfile::TempDir;

/// Who runs the server if the test is run by root, whom PostgreSQL refuses: `nobody`.
const USER: u32 = 65_534;

/// The password of the user `admin`.
pub const PASSWORD: &str = "s3ntinel/open sesame";

/// A server that ends when it is dropped.
pub struct Postgres {
    programs: PathBuf,
    folder: TempDir,
    port: u16,
}

impl Postgres {
    /// `None`, with a word about it, if PostgreSQL is not installed and not required.
    pub fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            let lacks = "lacks the Debian package postgresql";
            assert!(env::var_os("REQUIRE_TOOLS").is_none(), "{lacks}");
            eprintln!("SKIPPED: {lacks}");
            return None;
        };
        let folder = TempDir::new().unwrap();
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let server = Self {
            programs,
            port: free.local_addr().unwrap().port(),
            folder,
        };
        drop(free);
        let password = server.folder.path().join("password");
        fs::write(&password, PASSWORD).unwrap();
        if geteuid().is_root() {
            for path in [server.folder.path(), &password] {
                chown(path, Some(USER), Some(USER)).unwrap();
            }
        }
        let password = password.to_str().unwrap();
        let options = [
            "--no-sync",
            "--no-locale",
            "--encoding=UTF8",
            "--username=admin",
        ];
        let access = ["--auth=scram-sha-256", "--pwfile", password];
        server.run("initdb", &[&options[..], &access].concat());
        server.resume();
        Some(server)
    }

    /// Starts the server again.
    pub fn resume(&self) {
        let options = format!(
            "-h 127.0.0.1 -p {} -k '' -c shared_buffers=16MB -c max_connections=60",
            self.port
        );
        let log = self.folder.path().join("log");
        let log = log.to_str().unwrap();
        self.run("pg_ctl", &["start", "-w", "-s", "-l", log, "-o", &options]);
    }

    /// Ends the server as a crash would.
    pub fn crash(&self) {
        self.run("pg_ctl", &["stop", "-w", "-s", "-m", "immediate"]);
    }

    /// Where a database of the server is, for the user `admin`.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://admin@127.0.0.1:{}/{database}", self.port)
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let program = self.programs.join(program);
        let mut command = if geteuid().is_root() {
            let mut command = Command::new("setpriv");
            let id = USER.to_string();
            command
                .args(["--reuid", &id, "--regid", &id, "--clear-groups", "--"])
                .arg(program);
            command
        } else {
            Command::new(program)
        };
        let status = command
            .args(arguments)
            .arg("-D")
            .arg(self.folder.path().join("data"))
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "{arguments:?}");
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let data = self.folder.path().join("data");
        if data.join("postmaster.pid").exists() {
            self.crash();
        }
    }
}

/// Where Debian's newest version of the server is, or the one in the path.
fn programs() -> Option<PathBuf> {
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let debian = debian.flatten().map(|version| version.path().join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    let has_server = |folder: &PathBuf| Path::new(folder).join("initdb").exists();
    debian
        .filter(has_server)
        .max()
        .or_else(|| env::split_paths(&path).find(has_server))
}
