//! A PostgreSQL server of the test's own, run by an ordinary user.

use std::{
    env, fs,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::process::geteuid;
use sqlx::{
    ConnectOptions as _, Executor as _, PgConnection,
    postgres::{PgConnectOptions, PgPool, PgPoolOptions},
};
use tempfile::TempDir;

use crate::store::{Config, Location};

/// Who runs the server if the test is run by root, whom PostgreSQL refuses: `nobody`.
const USER: u32 = 65_534;

pub(super) const PASSWORD: &str = "open sesame";

/// A server that ends when it is dropped.
pub(super) struct Server {
    programs: PathBuf,
    folder: TempDir,
    port: u16,
}

impl Server {
    /// `None`, with a word about it, if PostgreSQL is not installed and not required.
    pub(super) fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            assert!(
                env::var_os("REQUIRE_TOOLS").is_none(),
                "PostgreSQL is not installed"
            );
            eprintln!("skipped: PostgreSQL is not installed");
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
    pub(super) fn resume(&self) {
        let options = format!(
            "-h 127.0.0.1 -p {} -k '' -c shared_buffers=16MB -c max_connections=60",
            self.port
        );
        let log = self.folder.path().join("log");
        let log = log.to_str().unwrap();
        self.run("pg_ctl", &["start", "-w", "-s", "-l", log, "-o", &options]);
    }

    /// Ends the server as a crash would.
    pub(super) fn crash(&self) {
        self.run("pg_ctl", &["stop", "-w", "-s", "-m", "immediate"]);
    }

    /// A new database, and how to open it.
    pub(super) async fn database(&self, name: &'static str) -> Config {
        let create = format!("CREATE DATABASE {name}");
        self.execute("postgres", &create).await;
        self.config(name)
    }

    pub(super) fn config(&self, name: &str) -> Config {
        let url = format!("postgres://admin@127.0.0.1:{}/{name}", self.port);
        Config {
            password: Some(PASSWORD.into()),
            ..Config::new(url.parse::<Location>().unwrap())
        }
    }

    /// A connection to a database.
    pub(super) async fn connect(&self, database: &str) -> PgConnection {
        self.options(database).connect().await.unwrap()
    }

    /// Connections to a database, made when they are needed.
    pub(super) fn pool(&self, database: &str) -> PgPool {
        PgPoolOptions::new().connect_lazy_with(self.options(database))
    }

    fn options(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(self.port)
            .username("admin")
            .password(PASSWORD)
            .database(database)
    }

    pub(super) async fn execute(&self, database: &str, sql: &str) {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        let mut connection = self.connect(database).await;
        connection.execute(sqlx::raw_sql(sql)).await.unwrap();
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

impl Drop for Server {
    fn drop(&mut self) {
        let data = self.folder.path().join("data");
        if data.join("postmaster.pid").exists() {
            self.run("pg_ctl", &["stop", "-w", "-s", "-m", "immediate"]);
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
