//! Servers as processes of their own that end with this one, for the benchmarks that start
//! some.

use std::{
    env,
    fmt::Write as _,
    fs,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr},
    os::unix::process::CommandExt as _,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use mesibo_grpc::access::key::KeyHash;
use rustix::{
    param::clock_ticks_per_second,
    process::{Pid, Signal, kill_process, set_parent_process_death_signal},
};
use tempfile::NamedTempFile;
use tokio::net::TcpListener;

/// The key of the caller that makes the load.
pub const KEY: &str = "mgk_of_the_benchmark";

/// The facade's program.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_mesibo-grpc");

/// A process that serves.
pub struct Server {
    child: Child,
    /// Where it does.
    pub address: SocketAddr,
    /// The certificate that it has, in PEM, if it serves with TLS.
    pub certificate: Option<String>,
}

impl Server {
    pub fn of_role(role: &[&str]) -> Self {
        let program = env::current_exe().expect("this program is a file");
        let mut command = Command::new(program);
        command.args(role).stderr(Stdio::inherit());
        Self::start(command.stdout(Stdio::piped()), |child| {
            let mut line = String::new();
            let stdout = child.stdout.take().expect("it is piped");
            BufReader::new(stdout)
                .read_line(&mut line)
                .expect("it tells its address");
            line.trim().to_owned()
        })
    }

    /// The facade, with default settings but for its ports and its callers. Its log goes
    /// through a pipe to a reader.
    pub fn facade(program: &str, url: &str, settings: &NamedTempFile) -> Self {
        Self::facade_on(program, free_address(Ipv4Addr::LOCALHOST), |command| {
            command
                .args(["--upstream-url", url, "--metrics-listen", "127.0.0.1:0"])
                .arg("--config")
                .arg(settings.path())
                .env("MESIBO_APP_TOKEN", "t0k");
        })
    }

    /// The facade on an address, with more arguments and variables.
    pub fn facade_on(program: &str, address: SocketAddr, more: impl FnOnce(&mut Command)) -> Self {
        let this = env::current_exe().expect("this program is a file");
        let mut command = Command::new(this);
        command
            .args(["become", program])
            .args(["serve", "--listen", &address.to_string()])
            .stderr(Stdio::piped());
        more(&mut command);
        Self::start(&mut command, |child| {
            let mut log = child.stderr.take().expect("it is piped");
            thread::spawn(move || io::copy(&mut log, &mut io::sink()));
            address.to_string()
        })
    }

    fn start(command: &mut Command, address: impl FnOnce(&mut Child) -> String) -> Self {
        let mut child = command.stdin(Stdio::piped()).spawn().expect("it starts");
        let address = address(&mut child).parse().expect("it is an address");
        Self {
            child,
            address,
            certificate: None,
        }
    }

    /// The same, which serves with TLS if there is a certificate.
    pub fn certified_by(mut self, certificate: Option<String>) -> Self {
        self.certificate = certificate;
        self
    }

    /// The number of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The URL of Mesibo's API, of a backend.
    pub fn url(&self) -> String {
        self.url_of("/api.php")
    }

    /// The URL of a path.
    pub fn url_of(&self, path: &str) -> String {
        let scheme = self.certificate.as_ref().map_or("http", |_| "https");
        format!("{scheme}://{}{path}", self.address)
    }

    /// Asks it to stop, and waits until it has.
    pub fn stop(mut self) -> ExitStatus {
        let id = Pid::from_child(&self.child);
        kill_process(id, Signal::TERM).expect("it runs");
        self.child.wait().expect("it is a child")
    }

    /// For how long it kept a processor busy, in user and in system mode.
    pub fn cpu_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        // proc_pid_stat: behind the name, in parentheses, are numbers; the 12th and the
        // 13th are the times, in ticks.
        let ticks: u64 = stat
            .as_deref()
            .ok()
            .and_then(|stat| stat.rsplit_once(')'))
            .map(|(_, numbers)| numbers.split_whitespace().skip(11).take(2))
            .and_then(|times| times.map(|ticks| ticks.parse::<u64>().ok()).sum())
            .expect("it runs, and Linux tells");
        let milliseconds = ticks * 1000 / clock_ticks_per_second();
        Duration::from_millis(milliseconds)
    }

    /// The most memory that it had resident, in MiB.
    pub fn peak_memory(&self) -> f64 {
        self.status("VmHWM:")
    }

    /// The memory that it has resident, in MiB.
    pub fn memory(&self) -> f64 {
        self.status("VmRSS:")
    }

    /// A number of `proc_pid_status`, in MiB.
    fn status(&self, name: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("it runs");
        let (_, rest) = status.split_once(name).expect("Linux tells");
        let kib: f64 = rest
            .split_whitespace()
            .next()
            .and_then(|number| number.parse().ok())
            .expect("it is a number");
        kib / 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Settings with so many callers, the last of which has the key, and more.
pub fn settings(callers: usize, more: &str) -> NamedTempFile {
    let mut text = more.to_owned();
    for number in 1..=callers {
        let key = match number {
            _ if number == callers => KEY.to_owned(),
            _ => format!("mgk_{number}"),
        };
        let hash = KeyHash::of(key.as_bytes());
        writeln!(
            text,
            "[callers.caller-{number}]\nkeys = [\"{hash}\"]\nmay-call = [\"*\"]"
        )
        .expect("a text can be written to");
    }
    let mut file = NamedTempFile::new().expect("there is room for a file");
    file.write_all(text.as_bytes()).expect("there is room");
    file
}

/// An address that was free a moment ago.
pub fn free_address(ip: Ipv4Addr) -> SocketAddr {
    let listener = std::net::TcpListener::bind((ip, 0));
    let address = listener.and_then(|listener| listener.local_addr());
    address.expect("there are free ports")
}

/// Listens on a port that the system chooses, and tells the parent.
pub async fn listen() -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("there are free ports");
    println!("{}", listener.local_addr().expect("it has an address"));
    listener
}

/// Becomes another program, which ends with its parent.
pub fn become_program(command: &[String]) {
    set_parent_process_death_signal(Some(Signal::KILL)).expect("Linux can do that");
    let error = Command::new(&command[0]).args(&command[1..]).exec();
    panic!("cannot run {}: {error}", command[0]);
}

/// Runs until the parent goes away, and with it the standard input.
pub async fn until_the_parent_goes(serve: impl Future) {
    thread::spawn(|| {
        let _ = io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    serve.await;
}
