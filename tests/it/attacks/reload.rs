//! Files that hang, that are no files, and that are seen half written.

use std::{
    fs,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use mesibo_grpc::{
    access::key::KeyHash,
    proto::{
        ListUsersRequest, SendMessageRequest, message_service_client::MessageServiceClient,
        send_message_request::Recipient, user_service_client::UserServiceClient,
    },
};
use tempfile::TempDir;
use tokio::time::sleep;
use tonic::{Status, transport::Channel};

use crate::{
    program::assert_refused,
    support::{
        Answer, Backend, EVERYTHING, Process, TOKEN,
        facade::{Bearer, soon},
        get,
        process::command,
        skip, told, write_private,
    },
};

const KEY: &str = "s3ntinel-1";

/// A server with a token file and a settings file.
struct Fixture {
    directory: TempDir,
    backend: Backend,
    server: Process,
}

impl Fixture {
    fn new(settings: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let [token, config] = ["token", "config"].map(|name| directory.path().join(name));
        write_private(&token, "s3ntinel-old");
        write_private(&config, settings);
        let backend = Backend::always(Answer::ok(EVERYTHING));
        let mut command = command(&["serve", "--upstream-url", &backend.url()]);
        command
            .args(["--metrics-listen", "127.0.0.1:0"])
            .env("MESIBO_APP_TOKEN_FILE", token)
            .env("MESIBO_GRPC_CONFIG", config);
        Self {
            server: Process::start(command),
            directory,
            backend,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Puts a file in the place of another, all at once.
    fn replace(&self, name: &str, content: &str) {
        write_private(&self.path("new"), content);
        fs::rename(self.path("new"), self.path(name)).unwrap();
    }

    /// The value of a metric of reloads.
    async fn value(&self, name: &str, labels: &str) -> f64 {
        let metrics = get(self.server.logged_address("metrics="), "/metrics").await;
        let name = format!("mesibo_grpc_{name}{{{labels}}} ");
        let value = metrics.lines().find_map(|line| line.strip_prefix(&name));
        value
            .unwrap_or_else(|| panic!("no {name}in {metrics}"))
            .parse()
            .unwrap()
    }

    /// Whether the files of a kind are in force, as the metrics have it.
    async fn succeeded(&self, kind: &str) -> bool {
        let labels = format!("kind=\"{kind}\"");
        self.value("reload_last_attempt_succeeded", &labels).await > 0.5
    }

    /// Waits until the metrics say whether the files of a kind are in force.
    async fn until(&self, kind: &str, succeeded: bool) {
        soon(async {
            while self.succeeded(kind).await != succeeded {
                sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
    }

    /// Takes the key away, and waits until it is refused.
    async fn revoke(&self, channel: &Channel) {
        list(channel).await.unwrap();
        self.replace("config", &caller("s3ntinel-2", ""));
        soon(async {
            while list(channel).await.is_ok() {
                sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        assert_eq!(told(&list(channel).await.unwrap_err()).2, "INVALID_KEY");
    }
}

/// Settings with a caller that has this key, and more of it.
fn caller(key: &str, more: &str) -> String {
    let hash = KeyHash::of(key.as_bytes());
    format!("[callers.shop]\nkeys = [\"{hash}\"]\nmay-call = [\"*\"]\n{more}")
}

async fn list(channel: &Channel) -> Result<(), Status> {
    let mut users = UserServiceClient::with_interceptor(channel.clone(), Bearer(KEY));
    let request = ListUsersRequest::default();
    users.list_users(request).await.map(drop)
}

fn make_fifo(path: &Path) {
    let status = Command::new("mkfifo").arg(path).status();
    assert!(status.unwrap().success());
}

#[tokio::test]
async fn a_token_file_that_becomes_a_fifo_holds_up_no_revocation_and_is_told_of() {
    let fixture = Fixture::new(&caller(KEY, ""));
    let channel = fixture.server.channel().await;
    let failed = "kind=\"token\",outcome=\"failed\"";
    assert!(fixture.succeeded("token").await && fixture.succeeded("callers").await);

    make_fifo(&fixture.path("fifo"));
    fs::rename(fixture.path("fifo"), fixture.path("token")).unwrap();
    fixture.until("token", false).await;
    let log = fixture.server.log();
    let line = log
        .lines()
        .find(|line| line.contains("cannot be used"))
        .unwrap();
    for part in [
        "ERROR",
        "kind=\"token\"",
        "it is a FIFO (a named pipe)",
        "/token",
    ] {
        assert!(line.contains(part), "{line} lacks {part}");
    }
    fixture.revoke(&channel).await;
    assert!(fixture.succeeded("callers").await);
    assert!(!fixture.succeeded("token").await);
    assert!(fixture.value("reloads_total", failed).await < 1.5);

    // Until it is mended.
    fixture.replace("token", "s3ntinel-old");
    fixture.until("token", true).await;
    assert!(
        fixture
            .server
            .log()
            .contains("files are again those that are in force")
    );
}

/// Holds a file so that opening it hangs: by a lease, fcntl(2), which the system breaks
/// after /proc/sys/fs/lease-break-time. Dropping it lets the file go.
struct Lease(Child);

impl Lease {
    fn take(path: &Path) -> Option<Self> {
        const PROGRAM: &str = "import fcntl, os, signal, sys\n\
            signal.signal(signal.SIGIO, signal.SIG_IGN)\n\
            fcntl.fcntl(os.open(sys.argv[1], os.O_RDWR), fcntl.F_SETLEASE, fcntl.F_WRLCK)\n\
            print(end='held', flush=True)\n\
            sys.stdin.read()\n";
        let child = Command::new("python3")
            .args(["-c", PROGRAM])
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else {
            skip("python3, which is in the Debian package python3");
            return None;
        };
        let mut held = [0; 4];
        child.stdout.take().unwrap().read_exact(&mut held).unwrap();
        Some(Self(child))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_token_file_that_hangs_holds_up_no_revocation_and_takes_one_thread() {
    let fixture = Fixture::new(&caller(KEY, ""));
    let channel = fixture.server.channel().await;
    // A lease is for a file that nobody has open, so it comes into place afterwards.
    write_private(&fixture.path("other"), "s3ntinel-new");
    let Some(lease) = Lease::take(&fixture.path("other")) else {
        return;
    };
    fs::rename(fixture.path("other"), fixture.path("token")).unwrap();
    fixture.revoke(&channel).await;
    assert!(fixture.succeeded("token").await);
    fixture.until("token", false).await;
    assert!(
        fixture
            .server
            .log()
            .contains("they could not be read within 5s")
    );

    let threads = || {
        let threads = fs::read_dir(format!("/proc/{}/task", fixture.server.id()));
        threads.unwrap().count()
    };
    let before = threads();
    sleep(Duration::from_secs(7)).await;
    assert!(
        threads() <= before,
        "from {before} to {} threads",
        threads()
    );
    drop(lease);
    fixture.until("token", true).await;
    soon(async {
        while fixture
            .value("reloads_total", "kind=\"token\",outcome=\"ok\"")
            .await
            < 0.5
        {
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    drop(fixture.backend);
}

#[tokio::test]
async fn a_file_that_is_being_written_is_left_alone() {
    let restriction = "from-addresses = [\"shop\"]\n";
    let fixture = Fixture::new(&caller(KEY, restriction));
    let channel = fixture.server.channel().await;
    let send_as_another = async || {
        let mut messages = MessageServiceClient::with_interceptor(channel.clone(), Bearer(KEY));
        let request = SendMessageRequest {
            from_address: "chief".into(),
            recipient: Some(Recipient::Gid(7)),
            message: "Hello".into(),
            ..Default::default()
        };
        let refused = messages.send_message(request).await;
        refused.map_err(|status| told(&status).2).map(drop)
    };
    // Cut short behind may-call, it is valid, and lets the caller do more than before.
    let mut file = fs::File::create(fixture.path("config")).unwrap();
    write!(file, "{}", caller(KEY, "")).unwrap();
    for number in 0..50 {
        assert_eq!(send_as_another().await.unwrap_err(), "SENDER_NOT_ALLOWED");
        sleep(Duration::from_millis(100)).await;
        writeln!(file, "# {number}").unwrap();
    }
    writeln!(file, "{restriction}rate = 1000").unwrap();
    for outcome in ["ok", "failed"] {
        let labels = format!("kind=\"callers\",outcome=\"{outcome}\"");
        assert!(fixture.value("reloads_total", &labels).await < 0.5);
    }
    soon(
        fixture
            .server
            .logged("files were read again, and are in force"),
    )
    .await;
    assert_eq!(send_as_another().await.unwrap_err(), "SENDER_NOT_ALLOWED");
}

#[test]
fn files_that_are_none_or_too_large_stop_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let [fifo, large] = ["fifo", "large"].map(|name| directory.path().join(name));
    make_fifo(&fifo);
    fs::write(&large, vec![b'#'; 1024 * 1024 + 1]).unwrap();
    let key = directory.path().join("key");
    write_private(&key, "");
    for (file, mistake) in [
        (&fifo, "expected a regular file, and it is a FIFO"),
        (&large, "expected a file of at most 1048576 bytes"),
    ] {
        for setting in [
            "--app-token-file",
            "--config",
            "--upstream-ca-file",
            "--tls-certificate-file",
        ] {
            let mut command = command(&["serve", setting, file.to_str().unwrap()]);
            if setting != "--app-token-file" {
                command.env("MESIBO_APP_TOKEN", TOKEN);
            }
            if setting == "--tls-certificate-file" {
                command.arg("--tls-key-file").arg(&key);
            }
            assert_refused(&command.output().unwrap(), mistake);
        }
    }
}
