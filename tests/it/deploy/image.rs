//! The image. Nothing here builds it, for that takes a Docker daemon; but its root file
//! system is made as the Dockerfile makes it, and the program runs in it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    process::{Command, Stdio},
};

use mesibo_grpc::cli::{self, Task};
use serde_json::Value;

use super::{at, path, printed, read, start::Start, text, tool, words};
use crate::support::{Process, TOKEN, process::PROGRAM, skip};

/// The program in the image.
const ENTRYPOINT: &str = "/mesibo-grpc";

/// The user of the image, and of what Kubernetes runs.
pub const USER: &str = "65532";

/// The instructions of the last stage, each with its arguments.
fn instructions() -> Vec<(String, String)> {
    let dockerfile = read("../Dockerfile").replace("\\\n", " ");
    let (_, last) = dockerfile.rsplit_once("\nFROM ").unwrap();
    let lines = last.lines().skip(1).filter(|line| !line.starts_with('#'));
    let words = lines.map(|line| line.split_once(' ').unwrap());
    words
        .map(|(word, rest)| (word.to_owned(), rest.trim().to_owned()))
        .collect()
}

fn instruction(word: &str) -> String {
    let mut found = instructions()
        .into_iter()
        .filter(|(found, _)| found == word);
    let (_, rest) = found.next().unwrap();
    assert_eq!(found.next(), None, "{word} is there once");
    rest
}

/// The environment of the image.
pub fn environment() -> BTreeMap<String, String> {
    let variables = instruction("ENV");
    let variables = variables.split_whitespace().map(|variable| {
        let (name, value) = variable.split_once('=').unwrap();
        (name.to_owned(), value.to_owned())
    });
    variables.collect()
}

/// The port of an address of the image, by its setting.
pub fn port(setting: &str) -> u16 {
    let variable = format!("MESIBO_GRPC_{setting}");
    let address: SocketAddr = environment()[&variable].parse().unwrap();
    address.port()
}

fn list(instruction: &str) -> Vec<String> {
    let start = instruction.find('[').unwrap();
    serde_json::from_str(&instruction[start..]).unwrap()
}

/// The arguments of the program in an instruction.
fn args(word: &str) -> Vec<String> {
    list(&instruction(word))
        .into_iter()
        .filter(|word| word != ENTRYPOINT)
        .collect()
}

#[test]
fn the_image_serves_and_is_asked_for_its_health_on_the_ports_that_it_says() {
    assert_eq!(list(&instruction("ENTRYPOINT")), [ENTRYPOINT]);
    assert_eq!(instruction("USER"), format!("{USER}:{USER}"));
    let ports = ["LISTEN", "HEALTH_LISTEN", "METRICS_LISTEN"].map(|name| port(name).to_string());
    assert_eq!(instruction("EXPOSE"), ports.join(" "));

    let health = ["mesibo-grpc".to_owned()]
        .into_iter()
        .chain(args("HEALTHCHECK"));
    let Task::Health(health) = cli::parse(health.map(Into::into)).unwrap() else {
        panic!("the health check is something else");
    };
    assert_eq!(health.server.url.port(), Some(port("HEALTH_LISTEN")));
}

#[test]
fn the_image_is_built_from_what_it_takes() {
    let source = tempfile::tempdir().unwrap();
    let ignored = read("../.dockerignore");
    for kept in ignored.lines().filter_map(|line| line.strip_prefix('!')) {
        let target = source.path().join(kept);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        let mut copy = Command::new("cp");
        printed(
            copy.arg("--recursive")
                .arg(path("..").join(kept))
                .arg(target),
        );
    }
    // It fails if a target has no source, or if the lock file does not fit.
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["fetch", "--locked", "--offline", "--target=host-tuple"]);
    printed(cargo.current_dir(&source));
    assert!(source.path().join("deploy/rootfs.sh").exists());
}

#[test]
fn the_image_refuses_to_start_without_callers() {
    let mut start = Start::of_image(args("CMD"));
    start.files.insert("/token".into(), TOKEN.into());
    start
        .env
        .insert("MESIBO_APP_TOKEN_FILE".into(), "/token".into());
    let mistake = start.task().unwrap_err();
    assert!(mistake.contains("define callers"), "{mistake}");
}

#[test]
fn the_image_that_needs_no_daemon_starts_what_the_dockerfile_says() {
    let folder = tempfile::tempdir().unwrap();
    let make = |name: &str| {
        let file = folder.path().join(name);
        let mut script = Command::new(path("image.sh"));
        script.args(["/bin/true", "1.2.3"]).arg(&file);
        printed(script.env("SOURCE_DATE_EPOCH", "1700000000"));
        file
    };
    let file = make("image.tar");
    assert_eq!(
        fs::read(&file).unwrap(),
        fs::read(make("again.tar")).unwrap()
    );
    let layout = folder.path().join("layout");
    fs::create_dir(&layout).unwrap();
    let mut tar = Command::new("tar");
    printed(
        tar.arg("--extract")
            .arg("--file")
            .arg(&file)
            .current_dir(&layout),
    );

    // What a descriptor points to, by its digest.
    let blob = |descriptor: &Value| {
        let digest = text(descriptor, "/digest").strip_prefix("sha256:").unwrap();
        let path = layout.join("blobs/sha256").join(digest);
        let content = fs::read(&path).unwrap();
        assert_eq!(descriptor["size"], content.len());
        let mut sha256sum = Command::new("sha256sum");
        assert!(printed(sha256sum.arg(&path)).starts_with(digest));
        (path, content)
    };
    let json = |bytes: &[u8]| -> Value { serde_json::from_slice(bytes).unwrap() };
    let index = json(&fs::read(layout.join("index.json")).unwrap());
    let manifest = json(&blob(at(&index, "/manifests/0")).1);
    let config = json(&blob(&manifest["config"]).1);
    let (layer, _) = blob(at(&manifest, "/layers/0"));
    let mut gunzip = Command::new("sh");
    let digest = r#"gunzip --stdout < "$0" | sha256sum"#;
    let digest = printed(gunzip.args(["-c", digest]).arg(layer));
    let (digest, _) = digest.split_once(' ').unwrap();
    let diff_ids = words(at(&config, "/rootfs/diff_ids"));
    assert_eq!(diff_ids, [format!("sha256:{digest}")]);

    let config = &config["config"];
    assert_eq!(
        words(&config["Entrypoint"]),
        list(&instruction("ENTRYPOINT"))
    );
    assert_eq!(words(&config["Cmd"]), list(&instruction("CMD")));
    assert_eq!(config["User"], instruction("USER"));
    assert_eq!(config["StopSignal"], instruction("STOPSIGNAL"));
    let variables = words(&config["Env"]).into_iter().map(|variable| {
        let (name, value) = variable.split_once('=').unwrap();
        (name.to_owned(), value.to_owned())
    });
    assert_eq!(variables.collect::<BTreeMap<_, _>>(), environment());
    let exposed = config["ExposedPorts"].as_object().unwrap().keys();
    let exposed: BTreeSet<_> = exposed.map(|port| port.trim_end_matches("/tcp")).collect();
    let ports = instruction("EXPOSE");
    assert_eq!(exposed, ports.split(' ').collect());
}

/// A command in a root file system that cannot be written to, as a user without rights.
fn inside(root: &str, args: &[String]) -> Option<Command> {
    let package = "the Debian package bubblewrap";
    let mut try_it = tool(
        "bwrap",
        &["--ro-bind", "/", "/", "--unshare-user", "true"],
        package,
    )?;
    if !try_it.status().unwrap().success() {
        skip("the permission to make user namespaces");
        return None;
    }
    let bind = [
        "--die-with-parent",
        "--unshare-user",
        "--ro-bind",
        root,
        "/",
    ];
    let user = ["--uid", USER, "--gid", USER, "--clearenv", "--", ENTRYPOINT];
    let mut command = tool("bwrap", &[&bind[..], &user].concat(), package)?;
    command.args(args);
    Some(command)
}

#[test]
fn the_program_runs_in_nothing_but_the_root_of_the_image() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().to_str().unwrap();
    printed(Command::new(path("rootfs.sh")).args([PROGRAM, root]));
    let sandbox = [
        "sandbox",
        "--emulator-listen=127.0.0.1:0",
        "--health-listen=127.0.0.1:0",
    ];
    let Some(sandbox) = inside(root, &sandbox.map(Into::into)) else {
        return;
    };
    let sandbox = Process::start(sandbox);
    // It would be told at the start if there were no certificate authorities.
    assert!(!sandbox.log().contains("WARN"), "{}", sandbox.log());

    let health = sandbox.logged_address("health=");
    let asked = format!("127.0.0.1:{}", port("HEALTH_LISTEN"));
    let args: Vec<_> = args("HEALTHCHECK")
        .iter()
        .map(|arg| arg.replace(&asked, &health.to_string()))
        .collect();
    let mut check = inside(root, &args).unwrap();
    assert!(
        check
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .unwrap()
            .success()
    );
}
