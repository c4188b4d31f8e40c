//! Files of users and messages, by the thousand.

mod export;

use std::{
    collections::HashSet,
    fmt::Write as _,
    fs,
    io::{Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    Answer, Backend, EVERYTHING, Process,
    process::{PROGRAM, command, memory_of},
    sandbox_state, skip,
};

/// A folder with a file.
struct Fixture {
    folder: TempDir,
    file: PathBuf,
}

impl Fixture {
    fn new(name: &str, content: impl AsRef<[u8]>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        fs::write(&file, content).unwrap();
        Self { folder, file }
    }

    fn file(&self) -> &str {
        self.file.to_str().unwrap()
    }

    fn results(&self) -> PathBuf {
        let mut name = self.file.clone().into_os_string();
        name.push(".results.csv");
        name.into()
    }

    /// The values of a column of the results, by row.
    fn column(&self, name: &str) -> Vec<(String, String)> {
        let mut reader = csv::Reader::from_path(self.results()).unwrap();
        let header = reader.headers().unwrap().clone();
        let index = header.iter().position(|it| it == name).unwrap();
        let row = |record: csv::StringRecord| (record[0].to_owned(), record[index].to_owned());
        reader
            .records()
            .map(|record| row(record.unwrap()))
            .collect()
    }
}

/// Runs a command against a server.
fn run(address: &str, args: &[&str]) -> Output {
    let url = format!("http://{address}");
    command(&[args, &["--address", &url]].concat())
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A file with so many users.
fn users(count: usize) -> String {
    let mut text = "address,app_id\n".to_owned();
    for number in 0..count {
        let _ = writeln!(text, "user-{number},demo");
    }
    text
}

/// A file with so many messages.
fn messages(count: usize) -> String {
    let mut text = "from_address,to_address,message\n".to_owned();
    for number in 0..count {
        let _ = writeln!(text, "alice,bob,message {number}");
    }
    text
}

/// How many messages a backend got, none of them twice.
fn sent(backend: &Backend) -> usize {
    let requests = backend.requests();
    let texts: Vec<_> = requests.iter().filter_map(|it| it.get("msg")).collect();
    assert_eq!(
        HashSet::<_>::from_iter(&texts).len(),
        texts.len(),
        "sent twice"
    );
    texts.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_is_imported_and_a_second_run_has_nothing_to_do() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data/users.csv");
    let fixture = Fixture::new("users.csv", fs::read(example).unwrap());
    let sandbox = Process::sandbox();
    let output = run(&sandbox.address, &["import", "users", fixture.file()]);
    assert!(output.status.success(), "{output:?}");
    assert!(stderr(&output).contains("10 rows: 10 done\n"), "{output:?}");
    let state = sandbox_state(sandbox.upstream()).await;
    let names: Vec<_> = state["users"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["name"])
        .collect();
    assert!(
        names.contains(&&Value::from("Bob, the second")),
        "{names:?}"
    );
    assert_eq!(names.len(), 10);
    // Tokens are secrets.
    let mode = fs::metadata(fixture.results())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(
        fixture
            .column("access_token")
            .iter()
            .all(|(_, token)| token.len() > 20)
    );
    assert!(
        fixture
            .column("uid")
            .iter()
            .all(|(_, uid)| uid.parse::<u64>().unwrap() > 0)
    );

    let before = fs::read(fixture.results()).unwrap();
    let output = run(&sandbox.address, &["import", "users", fixture.file()]);
    assert!(output.status.success());
    assert!(
        stderr(&output).contains("10 rows: 10 done; 10 of them before"),
        "{output:?}"
    );
    assert_eq!(fs::read(fixture.results()).unwrap(), before);

    // A file that has changed is another file.
    fs::write(&fixture.file, users(3)).unwrap();
    let output = run(&sandbox.address, &["import", "users", fixture.file()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("the file has changed"),
        "{output:?}"
    );
}

#[test]
fn tokens_are_left_out_if_they_are_not_wanted() {
    let fixture = Fixture::new("users.csv", users(3));
    let sandbox = Process::sandbox();
    let args = ["import", "users", fixture.file(), "--no-tokens"];
    assert!(run(&sandbox.address, &args).status.success());
    assert!(
        fixture
            .column("access_token")
            .iter()
            .all(|(_, token)| token.is_empty())
    );
}

#[test]
fn each_mistake_has_its_line_and_column_and_stops_no_other_row() {
    let text = b"\xEF\xBB\xBFaddress,app_id,token_expiry,active\r\n\
        alice,demo,1h,true\r\n\
        \r\n\
        \"a,b\",demo,soon,yes\r\n\
        b\xFFb,demo,,\r\n\
        bob,demo\r\n\
        \"carol,demo,,\r\n\
        da\"ve,demo,,\r\n\
        ,,90s,\r\n\
        erin,demo,,\r\n";
    let fixture = Fixture::new("users.csv", text);
    let file = fixture.file();
    let output = run("127.0.0.1:1", &["import", "users", file, "--dry-run"]);
    assert_eq!(output.status.code(), Some(1));
    let printed = String::from_utf8(output.stdout.clone()).unwrap();
    let lines: Vec<_> = printed
        .lines()
        .map(|line| line.strip_prefix(file).unwrap())
        .collect();
    let expected = [
        ":4: token_expiry: expected a time",
        ":4: active: expected true or false, not \"yes\"",
        ":4: address: must not have a comma",
        ":5: address: must be UTF-8",
        ":6: it has 2 values, and the header has 4",
        ":7: ",
        ":8: a value with quotes must be in quotes as a whole",
        ":9: address: must not be empty",
        ":9: app_id: must not be empty",
        ":9: token_expiry: must be positive and whole minutes",
    ];
    assert_eq!(lines.len(), expected.len(), "{printed}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(expected), "{line} {expected}");
    }
    assert!(
        stderr(&output).contains("8 rows, 6 of them with mistakes"),
        "{output:?}"
    );
    assert!(!fixture.results().exists());

    let sandbox = Process::sandbox();
    let output = run(&sandbox.address, &["import", "users", file]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("8 rows: 2 done, 6 invalid"),
        "{output:?}"
    );
    let mut ok: Vec<_> = fixture.column("outcome");
    ok.retain(|(_, outcome)| outcome == "ok");
    assert_eq!(ok.len(), 2);
}

#[test]
fn a_file_that_is_none_is_refused_before_anything_is_sent() {
    for (content, says) in [
        (&b""[..], "it is empty"),
        (
            b"address\nalice\n",
            "line 1, the header: the column app_id is missing",
        ),
        (b"address,app_id,uid\n", "there is no column \"uid\""),
        (b"\xFF\xFEa\0", "it is UTF-16; save it as UTF-8"),
    ] {
        let fixture = Fixture::new("users.csv", content);
        let output = run(
            "127.0.0.1:1",
            &["import", "users", fixture.file(), "--dry-run"],
        );
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(says), "{output:?}");
    }
}

#[test]
fn messages_of_a_file_are_sent_once_however_often_it_is_sent() {
    let backend = Backend::scripted(|request| match request.get("msg") {
        Some("message 7") => Answer::ok(r#"{"result": false, "error": "NOUSER"}"#),
        _ => Answer::ok(EVERYTHING),
    });
    let server = Process::serve(&backend.url(), &[]);
    let fixture = Fixture::new("messages.csv", messages(100));
    let output = run(&server.address, &["send", fixture.file()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("100 rows: 99 done, 1 failed"),
        "{output:?}"
    );
    let failed = fixture.column("reason");
    assert!(
        failed.contains(&("8".into(), "NOUSER".into())),
        "{failed:?}"
    );
    assert_eq!(sent(&backend), 100);

    // Without the results all is sent again, with the same ids.
    fs::remove_file(fixture.results()).unwrap();
    run(&server.address, &["send", fixture.file()]);
    let requests = backend.requests();
    let again: Vec<_> = requests[100..].iter().map(|it| it.get("msg")).collect();
    assert_eq!(again, [Some("message 7")]);
}

#[test]
fn objects_come_from_standard_input_and_results_go_to_standard_output() {
    let sandbox = Process::sandbox();
    let url = format!("http://{}", sandbox.address);
    let args = [
        "import",
        "users",
        "-",
        "--format",
        "jsonl",
        "--address",
        &url,
    ];
    let mut child = command(&args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let input = "{\"address\": \"alice\", \"app_id\": \"demo\", \"max_groups\": 7}\n\n[1]\n";
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let mut lines: Vec<_> = printed.lines().skip(1).collect();
    lines.sort_unstable();
    assert!(lines[0].starts_with("1,1,alice,ok,"), "{printed}");
    assert!(lines[1].starts_with("2,3,,invalid,"), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_and_started_again_is_no_end() {
    let delay = Duration::from_millis(20);
    let backend = Backend::slow(delay, Answer::ok(EVERYTHING));
    let fixture = Fixture::new("messages.csv", messages(600));
    let store = fixture.folder.path().join("store.db");
    let store = format!("sqlite:{}", store.display());
    let args = ["--store", &store, "--default-deadline", "5s"];
    let server = Process::serve(&backend.url(), &args);
    let address = server.address.clone();
    let url = format!("http://{address}");
    let sending = command(&["send", fixture.file(), "--address", &url])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    backend.got(150).await;
    server.signal("KILL");
    drop(server);
    let _server = Process::serve_on(&address, &backend.url(), &args);
    let output = sending.wait_with_output().unwrap();
    let text = stderr(&output);
    // What the first server had begun may be unknown, and is not sent again.
    assert!(text.contains("600 rows: "), "{text}");
    sent(&backend);
    let again = run(&address, &["send", fixture.file()]);
    assert!(stderr(&again).contains("600 rows: "), "{again:?}");
    let count = sent(&backend);
    assert!((600 - 64..=600).contains(&count), "{count}");
}

#[test]
fn a_large_file_takes_no_more_memory_than_a_small_one() {
    let count = std::env::var("BULK_MIB").map_or(256, |count| count.parse().unwrap());
    let fixture = Fixture::new("messages.csv", "from_address,gid,message\n");
    let mut file = fs::OpenOptions::new()
        .append(true)
        .open(&fixture.file)
        .unwrap();
    let row = format!("alice,7,{}\n", "x".repeat((1 << 20) - 10));
    for _ in 0..count {
        file.write_all(row.as_bytes()).unwrap();
    }
    drop(file);
    let mut command = Command::new(PROGRAM);
    command.args(["send", fixture.file(), "--dry-run"]);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        peak = memory_of(child.id(), "VmHWM:").unwrap_or(peak);
        thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(
        stderr(&output).contains(&format!("{count} rows, 0 of them")),
        "{output:?}"
    );
    assert!((1..64 << 10).contains(&peak), "{peak} KiB");
}

/// A command in a terminal, and what it shows.
struct Terminal {
    child: std::process::Child,
    shown: Arc<Mutex<String>>,
}

impl Terminal {
    /// `None` if there is no program that makes terminals.
    fn start(line: &str) -> Option<Self> {
        let mut child = Command::new("script")
            // Not beneath a shell, which would end by the signal of Ctrl-C.
            .args(["-qefc", &format!("exec {line}"), "/dev/null"])
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let shown = Arc::<Mutex<String>>::default();
        let mut output = child.stdout.take().unwrap();
        let text = Arc::clone(&shown);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                *text.lock().unwrap() += &String::from_utf8_lossy(&buffer[..count]);
            }
        });
        Some(Self { child, shown })
    }

    fn shown(&self) -> String {
        self.shown.lock().unwrap().clone()
    }

    /// The numbers of rows that the bar has shown.
    fn positions(&self, total: &str) -> Vec<u64> {
        let text = self.shown();
        let end = format!(" of {total} rows");
        let parts = text
            .split(&end)
            .filter_map(|part| part.rsplit(' ').next()?.parse().ok());
        parts.collect()
    }

    fn type_key(&mut self, key: u8) {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(&[key]).unwrap();
        stdin.flush().unwrap();
    }

    fn wait(&mut self) -> i32 {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap();
            }
            assert!(
                Instant::now() < deadline,
                "it does not end: {}",
                self.shown()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_bar_moves_in_a_terminal_and_what_ctrl_c_stops_is_taken_up() {
    const CTRL_C: u8 = 3;
    let sandbox = Process::sandbox();
    let fixture = Fixture::new("users.csv", users(300));
    let url = format!("http://{}", sandbox.address);
    let import = format!("{PROGRAM} import users {} --address {url}", fixture.file());
    let slowly = format!("{import} --rate 50");
    let Some(mut terminal) = Terminal::start(&slowly) else {
        return skip("script, which the Debian package bsdutils has");
    };
    let deadline = Instant::now() + Duration::from_mins(1);
    while terminal
        .positions("300")
        .last()
        .is_none_or(|&last| last < 60)
    {
        assert!(Instant::now() < deadline, "{}", terminal.shown());
        thread::sleep(Duration::from_millis(20));
    }
    terminal.type_key(CTRL_C);
    assert_eq!(terminal.wait(), 1, "{}", terminal.shown());
    let positions = terminal.positions("300");
    assert!(
        positions.is_sorted() && positions.len() > 5,
        "{positions:?}"
    );
    assert!(
        terminal.shown().contains("the same command goes on"),
        "{}",
        terminal.shown()
    );

    // Each row that was answered has its line, and the last one is whole.
    let done = fixture.column("outcome");
    assert!((60..300).contains(&done.len()), "{}", done.len());
    assert!(done.iter().all(|(_, outcome)| outcome == "ok"));
    // A crash may cut the last line, which is not counted then.
    let results = fs::read(fixture.results()).unwrap();
    fs::write(fixture.results(), &results[..results.len() - 5]).unwrap();

    let output = run(&sandbox.address, &["import", "users", fixture.file()]);
    assert!(output.status.success(), "{output:?}");
    let earlier = format!("300 rows: 300 done; {} of them before", done.len() - 1);
    assert!(stderr(&output).contains(&earlier), "{output:?}");
    let mut rows: Vec<u64> = fixture
        .column("row")
        .iter()
        .map(|(row, _)| row.parse().unwrap())
        .collect();
    rows.sort_unstable();
    assert!(rows.into_iter().eq(1..=300));
}
