//! Users whom Mesibo had before the directory.

use std::{fs, process::Output};

use mesibo_grpc::proto::{EditUserRequest, EntryState, lookup_user_request::Key};
use tempfile::TempDir;
use tonic::Code;

use super::{Clients, Mesibo, serve, sqlite};
use crate::support::{Backend, Process, facade::soon, process::command};

/// A file of users, and the store that they go into.
struct Import {
    folder: TempDir,
}

impl Import {
    fn of(rows: &str) -> Self {
        let import = Self {
            folder: TempDir::new().unwrap(),
        };
        fs::write(import.file(), rows).unwrap();
        import
    }

    fn file(&self) -> String {
        self.folder.path().join("users.csv").display().to_string()
    }

    fn store(&self) -> Vec<String> {
        sqlite(&self.folder)
    }

    /// Imports the file, and gives the exit status, what was printed for each line, and the
    /// last line that was logged.
    fn run(&self, args: &[&str]) -> (Option<i32>, Vec<String>, String) {
        let file = self.file();
        let mut command = command(&["import", "users", "--existing", &file]);
        command.args(self.store()).args(args);
        let Output {
            status,
            stdout,
            stderr,
        } = command.output().unwrap();
        let (stdout, stderr) = (String::from_utf8(stdout), String::from_utf8(stderr));
        let told = stdout.unwrap();
        let told = told
            .lines()
            .map(|line| line.strip_prefix(&format!("{file}:")).unwrap().to_owned());
        let stderr = stderr.unwrap();
        let summary = stderr.lines().find(|line| line.contains("rows"));
        let summary = summary.unwrap_or(&stderr).to_owned();
        (status.code(), told.collect(), summary)
    }

    fn serve(&self, mesibo: &Mesibo) -> (Backend, Process) {
        let backend = mesibo.start();
        let server = serve(&backend, &self.store());
        (backend, server)
    }
}

const OF_APP: [&str; 2] = ["--app", "default"];

#[tokio::test]
async fn users_of_a_file_are_used_by_address_with_no_question_to_mesibo() {
    let import = Import::of(
        "address,uid,name,active,flags\nalice,7,Alice,true,\nbob,18446744073709551615,,,5\n*,9,,,\n",
    );
    let mesibo = Mesibo::default();
    for (address, uid) in [("alice", 7), ("bob", u64::MAX), ("*", 9)] {
        mesibo.0.users.lock().unwrap().insert(address.into(), uid);
    }
    let (backend, server) = import.serve(&mesibo);
    let mut clients = Clients::of(&server).await;
    for _ in 0..2 {
        let (status, told, summary) = import.run(&OF_APP);
        assert_eq!(summary, "3 rows: 3 are in the directory");
        assert_eq!((status, told), (Some(0), Vec::new()));
    }
    let alice = clients.entry("alice").await.unwrap();
    assert_eq!(
        (
            alice.uid,
            alice.name.as_deref(),
            alice.active,
            alice.state()
        ),
        (Some(7), Some("Alice"), Some(true), EntryState::Confirmed)
    );
    let bob = clients.look_up(Key::Uid(u64::MAX)).await.unwrap();
    assert_eq!((bob.address.as_deref(), bob.flags), (Some("bob"), Some(5)));
    for (address, uid) in [("bob", u64::MAX), ("*", 9)] {
        let edit = EditUserRequest {
            address: Some(address.into()),
            active: Some(false),
            ..EditUserRequest::default()
        };
        soon(clients.users.edit_user(edit)).await.unwrap();
        let request = backend.requests().pop().unwrap();
        let edited = (request.get("op"), request.get("uid"));
        assert_eq!(edited, (Some("userset"), Some(&*uid.to_string())));
    }
    assert_eq!(backend.requests().len(), 2);

    // What a server exports, another directory takes.
    let other = Import::of("");
    let address = format!("http://{}", server.address);
    let exported = command(&["export", "users", &other.file(), "--address", &address]).output();
    assert!(exported.unwrap().status.success());
    let (status, told, summary) = other.run(&OF_APP);
    assert_eq!(summary, "3 rows: 3 are in the directory");
    assert_eq!((status, told), (Some(0), Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_mesibo_has_otherwise_is_told_and_not_added_if_it_is_asked() {
    let import = Import::of("uid,address\n7,alice\n8,bob\n9,carol\n11,*\n12,dave\n");
    let mesibo = Mesibo::default();
    for (address, uid) in [("alice", 7), ("carol", 10), ("*", 11), ("dave", 12)] {
        mesibo.0.users.lock().unwrap().insert(address.into(), uid);
    }
    let (_backend, server) = import.serve(&mesibo);
    let address = format!("http://{}", server.address);
    let args = ["--app", "default", "--verify", "--address", &address];
    for rate in [&[][..], &["--rate", "1000"]] {
        let (status, told, summary) = import.run(&[&args, rate].concat());
        assert_eq!(summary, "5 rows: 2 are in the directory, 3 are not");
        assert_eq!(
            told,
            [
                "3: Mesibo has no user of this address",
                "4: Mesibo has the uid 10 for this address",
                "5: Mesibo takes the * in the address for a wildcard: it cannot be asked for",
            ]
        );
        assert_eq!(status, Some(1));
    }
    let mut clients = Clients::of(&server).await;
    for (address, uid) in [("alice", 7), ("dave", 12)] {
        let entry = clients.entry(address).await.unwrap();
        assert_eq!(
            (entry.uid, entry.state()),
            (Some(uid), EntryState::Confirmed)
        );
    }
    for address in ["bob", "*"] {
        let status = clients.entry(address).await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound, "{address}");
    }

    // Nobody answers in the place of Mesibo.
    drop(server);
    let (status, told, summary) = import.run(&args);
    assert!(summary.contains("it refuses connections"), "{summary}");
    assert_eq!((status, told), (Some(1), Vec::new()));
}

#[tokio::test]
async fn what_the_directory_has_otherwise_stays_and_each_mistake_is_told() {
    let import = Import::of(
        "uid,address\n1,dave\n100,erin\n0,frank\nx,grace\n3,\"a,b\"\n4,heidi\n4,ivan\n5,heidi\n",
    );
    let mesibo = Mesibo::default();
    let (_backend, server) = import.serve(&mesibo);
    let mut clients = Clients::of(&server).await;
    assert_eq!(clients.create("dave").await.unwrap(), 100);
    let before = clients.entry("dave").await.unwrap();
    let dry_run = [&OF_APP[..], &["--dry-run"]].concat();
    let (status, told, summary) = import.run(&dry_run);
    assert_eq!((status, told.len()), (Some(1), 3), "{told:?}");
    assert_eq!(summary, "8 rows, 3 of them with mistakes");
    let (status, mut told, summary) = import.run(&OF_APP);
    told.sort_unstable();
    assert_eq!(
        told,
        [
            "2: the directory has the uid 100 for this address",
            "3: the directory has this uid for the address \"dave\"",
            "4: uid: must not be 0",
            "5: uid: expected a number from 0 to 18446744073709551615, not \"x\"",
            "6: address: must not have a comma, which separates addresses",
            "8: the directory has this uid for the address \"heidi\"",
            "9: the directory has the uid 4 for this address",
        ]
    );
    assert_eq!(status, Some(1));
    assert_eq!(
        summary,
        "8 rows: 1 are in the directory, 4 are not, 3 invalid"
    );
    assert_eq!(clients.entry("dave").await.unwrap(), before);
    assert_eq!(clients.entry("heidi").await.unwrap().uid, Some(4));
}

#[test]
fn a_command_line_that_lacks_something_says_what() {
    let import = Import::of("uid,address\n7,alice\n");
    let (status, _, why) = import.run(&[]);
    assert_eq!(status, Some(2));
    assert!(why.contains("app: expected the name of the app"), "{why}");
    let file = import.file();
    for (args, says) in [
        (
            &["--existing", &*file, "--app", "default"][..],
            "memory has no directory",
        ),
        (&[&*file, "--verify"], "--existing"),
        (&["--existing", "--no-tokens", &file], "--no-tokens"),
    ] {
        let output = command(&[&["import", "users"], args].concat())
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains(says), "{args:?}: {stderr}");
    }
}
