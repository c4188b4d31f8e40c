//! The program itself, as a process.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    net::SocketAddr,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tonic::transport::{Channel, Endpoint};

use super::{TOKEN, assert_no_secret};

/// Where it is.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_mesibo-grpc");

/// A port that the system chooses.
const ANY_PORT: &str = "127.0.0.1:0";

/// A running program. Dropping it kills it.
pub struct Process {
    child: Child,
    /// The address that it serves gRPC on.
    pub address: String,
    stderr: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

/// The program, with nothing of the environment that tests run in.
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(args).env_clear();
    // Many run side by side.
    command.env("MESIBO_GRPC_METRICS_LISTEN", "none");
    command
}

impl Process {
    /// Starts `serve` in front of a backend and waits until it serves.
    pub fn serve(upstream_url: &str, args: &[&str]) -> Self {
        Self::serve_on(ANY_PORT, upstream_url, args)
    }

    /// The same, on an address.
    pub fn serve_on(address: &str, upstream_url: &str, args: &[&str]) -> Self {
        let mut command = command(&["serve", "--upstream-url", upstream_url]);
        command
            .args(args)
            .env("MESIBO_APP_TOKEN", TOKEN)
            .env("MESIBO_GRPC_LAME_DUCK", "0s");
        Self::start_on(address, command)
    }

    /// Starts `sandbox` and waits until it serves.
    pub fn sandbox() -> Self {
        Self::sandbox_with(&[])
    }

    /// The same, with flags.
    pub fn sandbox_with(args: &[&str]) -> Self {
        let mut command = command(&["sandbox", "--emulator-listen", ANY_PORT]);
        command.args(args);
        Self::start(command)
    }

    /// Starts a command that serves, on a port that the system chooses, and waits
    /// until it does.
    pub fn start(command: Command) -> Self {
        Self::start_on(ANY_PORT, command)
    }

    /// The same, on an address.
    pub fn start_on(address: &str, mut command: Command) -> Self {
        let mut child = command
            .args(["--listen", address])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = Arc::new(Mutex::new(String::new()));
        let (tell, told) = mpsc::channel();
        let lines = BufReader::new(child.stderr.take().unwrap());
        let log = Arc::clone(&stderr);
        let reader = thread::spawn(move || {
            for line in lines.lines() {
                let line = line.unwrap();
                let address = line
                    .split_once("serving gRPC")
                    .and(line.split_once("listen="))
                    .map(|(_, rest)| rest.split(' ').next().unwrap().to_owned());
                // Whoever is told finds the line in the log.
                log.lock().unwrap().extend([line.as_str(), "\n"]);
                if let Some(address) = address {
                    let _ = tell.send(address);
                }
            }
        });
        let args = fs::read(format!("/proc/{}/cmdline", child.id())).unwrap();
        assert_no_secret("the command line", &String::from_utf8_lossy(&args));
        let address = told
            .recv_timeout(Duration::from_secs(30))
            .unwrap_or_else(|_| panic!("it does not serve:\n{}", stderr.lock().unwrap()));
        Self {
            child,
            address,
            stderr,
            reader: Some(reader),
        }
    }

    /// A channel to it.
    pub async fn channel(&self) -> Channel {
        let address = format!("http://{}", self.address);
        let endpoint = Endpoint::from_shared(address).unwrap();
        endpoint.connect().await.unwrap()
    }

    /// The id of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How many files it has open, sockets among them.
    pub fn open_files(&self) -> usize {
        let files = fs::read_dir(format!("/proc/{}/fd", self.child.id()));
        files.unwrap().count()
    }

    /// Its resident memory, in KiB.
    pub fn memory(&self) -> usize {
        self.memory_of("VmRSS:")
    }

    /// The most that its resident memory ever was, in KiB.
    pub fn peak_memory(&self) -> usize {
        self.memory_of("VmHWM:")
    }

    fn memory_of(&self, name: &str) -> usize {
        memory_of(self.child.id(), name).unwrap()
    }

    /// The address of its upstream, as its log has it.
    pub fn upstream(&self) -> SocketAddr {
        self.logged_address("upstream=http://")
    }

    /// The address that its log has behind a text.
    pub fn logged_address(&self, before: &str) -> SocketAddr {
        let log = self.log();
        let (_, rest) = log.split_once(before).unwrap();
        let address = rest.trim_start_matches('"');
        let end = address.find(['/', '"', ' ', '\n']).unwrap();
        address[..end].parse().unwrap()
    }

    /// Sends a signal, by its name.
    pub fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// For how long it kept a processor busy up to now.
    #[cfg(target_os = "linux")]
    pub fn cpu_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        Duration::from_millis(10 * ticks_of(&stat))
    }

    /// What it logged up to now.
    pub fn log(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Waits until it logged `text`.
    pub async fn logged(&self, text: &str) {
        while !self.log().contains(text) {
            tokio::task::yield_now().await;
        }
    }

    /// Waits for its end, and gives its status, what it printed and what it logged.
    pub fn wait(mut self) -> (ExitStatus, String, String) {
        let (status, log) = self.end();
        let mut stdout = String::new();
        self.child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut stdout)
            .unwrap();
        assert_no_secret("what it printed", &stdout);
        (status, stdout, log)
    }

    /// Waits for its end, and gives its status and what it logged.
    pub fn end(&mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + Duration::from_secs(30);
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(
                Instant::now() < deadline,
                "it does not end:\n{}",
                self.log()
            );
            thread::sleep(Duration::from_millis(10));
        };
        self.reader.take().unwrap().join().unwrap();
        (status, self.log())
    }
}

/// The processor time in a text of `proc_pid_stat(5)`, in ticks of 10 ms: after the name, which
/// is in brackets and may hold anything, user and system time are the 12th and 13th field.
pub fn ticks_of(stat: &str) -> u64 {
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let fields = fields.split_whitespace().skip(11).take(2);
    fields.map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

/// Sends a signal to a process, by its name. Not by `kill`, which not every system has.
pub fn signal(process: &Child, name: &str) {
    let signal = match name {
        "HUP" => Signal::HUP,
        "INT" => Signal::INT,
        "KILL" => Signal::KILL,
        "TERM" => Signal::TERM,
        "STOP" => Signal::STOP,
        "CONT" => Signal::CONT,
        other => panic!("no test sends {other}"),
    };
    kill_process(Pid::from_child(process), signal).unwrap();
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !thread::panicking() {
            assert_no_secret("the log", &self.log());
        }
    }
}

/// A line of `proc_pid_status(5)` with an amount of memory, in KiB; `None` once the process has
/// ended.
pub fn memory_of(process: u32, name: &str) -> Option<usize> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let (_, rest) = status.split_once(name)?;
    rest.split_whitespace().next()?.parse().ok()
}
