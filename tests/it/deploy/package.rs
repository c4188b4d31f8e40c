//! The packages of a release. A release build takes too long for a test: what is packed is
//! the program of the tests, and what is built is a small one.

use std::{
    collections::BTreeSet, fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command,
};

use serde_json::Value;
use tempfile::TempDir;

use super::{list, path, printed, read, text, tool};
use crate::support::{TOKEN, process::PROGRAM, skip};

/// The unit, in this repository and in the package.
const UNIT: &str = "systemd/mesibo-grpc.service";

/// The packages of a small program that does what the program of the tests does, for that
/// one would take minutes to compress. If a tool is not there, nothing.
fn packages() -> Option<TempDir> {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program");
    fs::write(&program, format!("#!/bin/sh\nexec '{PROGRAM}' \"$@\"\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let script = "deploy/package-tools.sh, which installs it";
    tool("cargo-deb", &[], script)?;
    tool("cargo-cyclonedx", &[], script)?;
    let mut git = Command::new("git");
    let checkout = git.args(["-C", env!("CARGO_MANIFEST_DIR"), "ls-files"]);
    if !checkout
        .output()
        .is_ok_and(|output| output.status.success())
    {
        skip("git, and a checkout by it");
        return None;
    }
    // Neither the folder nor the mask is part of what is made.
    for (name, mask) in [("one", "022"), ("another", "077")] {
        let work = folder.path().join(format!("work-{name}"));
        fs::create_dir(&work).unwrap();
        let mut script = Command::new("sh");
        script
            .args(["-c", &format!(r#"umask {mask} && exec "$0" "$@""#)])
            .arg(path("package.sh"))
            .args([&folder.path().join(name), &program])
            .env("TMPDIR", work)
            .env("CARGO_NET_OFFLINE", "true");
        printed(&mut script);
    }
    Some(folder)
}

/// What is extracted from an archive.
fn extracted(command: &mut Command) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    printed(command.current_dir(&root));
    root
}

/// The names of what is in a folder.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn packages_are_what_their_page_says_wherever_they_are_made() {
    let Some(folder) = packages() else { return };
    let (one, another) = (folder.path().join("one"), folder.path().join("another"));
    let sums = |folder: &Path| fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
    assert_eq!(sums(&one), sums(&another));
    let mut check = Command::new("sha256sum");
    printed(check.args(["--check", "SHA256SUMS"]).current_dir(&one));

    let page = read("../docs/packages.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let told: BTreeSet<_> = rows
        .map(|row| row.split_once('`').unwrap().0.to_owned())
        .collect();
    let made = names(&one);
    // The page names those of one kind of machine.
    if cfg!(target_arch = "x86_64") {
        assert_eq!(made, told);
    }
    let file = |end: &str| {
        let name = made.iter().find(|name| name.ends_with(end)).unwrap();
        one.join(name)
    };
    debian_package(&file(".deb"));
    archive(&file(".tar.gz"));
    bill_of_materials(&file(".cdx.json"));

    // What is there is not mixed with what was.
    let mut again = Command::new(path("package.sh"));
    let again = again.args([&one, &folder.path().join("program")]).output();
    let again = again.unwrap();
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    let told = String::from_utf8(again.stderr).unwrap();
    assert!(told.contains("has files already"), "{told}");
}

/// What dpkg would install works together.
fn debian_package(file: &Path) {
    let Some(mut extract) = tool("dpkg-deb", &["--extract"], "the Debian package dpkg") else {
        return;
    };
    let root = extracted(extract.arg(file).arg("."));
    let installed = |path: &str| root.path().join(path.trim_start_matches('/'));

    let unit = fs::read_to_string(installed("usr/lib/systemd/system/mesibo-grpc.service"));
    let unit = unit.unwrap();
    let moved = read(UNIT).replace("/usr/local/bin/", "/usr/bin/");
    assert_eq!(unit, moved);
    let starts = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="));
    let (program, args) = starts.unwrap().split_once(' ').unwrap();
    let settings = args.split_once("--config ").unwrap().1;
    let mut check = Command::new(installed(program));
    check
        .arg("check")
        .arg("--config")
        .arg(installed(settings))
        .env("MESIBO_APP_TOKEN", TOKEN);
    assert!(printed(&mut check).contains("failures: 0, "));

    let mut control = Command::new("dpkg-deb");
    let control = extracted(control.arg("--control").arg(file).arg("."));
    let control = |name: &str| fs::read_to_string(control.path().join(name));
    // An upgrade keeps what an operator changed, and nothing starts without a token.
    assert_eq!(control("conffiles").unwrap().trim(), settings);
    let installation = control("postinst").unwrap();
    assert!(installation.contains("systemd-sysusers"), "{installation}");
    assert!(!installation.contains("deb-systemd-invoke start"));

    let pages = names(&installed("usr/share/man/man1"));
    assert!(pages.contains("mesibo-grpc.1.gz"), "{pages:?}");
    assert!(pages.contains("mesibo-grpc-serve.1.gz"), "{pages:?}");
    let completions = [
        "bash-completion/completions/mesibo-grpc",
        "fish/vendor_completions.d/mesibo-grpc.fish",
        "zsh/vendor-completions/_mesibo-grpc",
    ];
    for completion in completions {
        let script = fs::read_to_string(installed("usr/share").join(completion)).unwrap();
        assert!(script.contains("mesibo-grpc"), "{completion}");
    }

    // Of the name that systemd gives the user of the unit, which is then this one.
    let users = fs::read_to_string(installed("usr/lib/sysusers.d/mesibo-grpc.conf")).unwrap();
    let users: Vec<_> = users
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    let [user] = users[..] else {
        panic!("{users:?}")
    };
    assert!(user.starts_with("u mesibo-grpc - "), "{user}");
}

/// The archive has the program, and what goes with it.
fn archive(file: &Path) {
    let mut tar = Command::new("tar");
    let root = extracted(tar.arg("--extract").arg("--gzip").arg("--file").arg(file));
    let top = file.file_name().unwrap().to_str().unwrap();
    let top = root.path().join(top.strip_suffix(".tar.gz").unwrap());
    let expected = [
        "CHANGELOG.md",
        "LICENSE",
        "README.md",
        "completions",
        "man",
        "mesibo-grpc",
        "settings.toml",
    ];
    assert_eq!(names(&top), expected.map(Into::into).into());
    let mut program = Command::new(top.join("mesibo-grpc"));
    let version = printed(program.arg("--version"));
    let version = version.trim().replace(' ', "-");
    assert!(top.ends_with(format!("{version}-linux-{}", std::env::consts::ARCH)));
}

/// The bill of materials has each library that the program is linked with, as the lock file
/// has it, and nothing of the machine.
fn bill_of_materials(file: &Path) {
    let bill: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    assert_eq!(text(&bill, "/bomFormat"), "CycloneDX");
    let locked: toml::Table = read("../Cargo.lock").parse().unwrap();
    let locked = locked["package"].as_array().unwrap().iter();
    let locked: BTreeSet<_> = locked
        .map(|package| (package["name"].as_str(), package["version"].as_str()))
        .collect();
    let components: BTreeSet<_> = list(&bill, "/components")
        .iter()
        .map(|component| (component["name"].as_str(), component["version"].as_str()))
        .collect();
    assert!(components.is_subset(&locked), "{components:?}");
    let has = |name: &str| components.iter().any(|(found, _)| *found == Some(name));
    assert!(has("mesibo") && has("tonic") && has("libsqlite3-sys"));
    // The tests are no part of the program.
    assert!(!has("proptest"));

    let bill = bill.to_string();
    for folder in [
        env!("CARGO_MANIFEST_DIR"),
        file.parent().unwrap().to_str().unwrap(),
    ] {
        assert!(!bill.contains(folder), "{folder}");
    }
    assert!(!bill.contains("/work-"));
}

#[test]
fn a_static_program_is_the_same_wherever_it_is_built() {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let script = read("static.sh");
    let build = || {
        let folder = tempfile::tempdir().unwrap();
        let files = [
            (
                "Cargo.toml",
                "[package]\nname = \"mesibo-grpc\"\nedition = \"2024\"\n",
            ),
            (
                "Cargo.lock",
                "version = 4\n[[package]]\nname = \"mesibo-grpc\"\nversion = \"0.0.0\"\n",
            ),
            // What the C compiler says of itself, in code that says where it panics.
            (
                "made.rs.c",
                "fn made() { panic!(concat!(__DATE__, __TIME__, __FILE__)) }",
            ),
            (
                "build.rs",
                r#"fn main() {
                    let [flags, source, folder] = ["CFLAGS", "CARGO_MANIFEST_DIR", "OUT_DIR"]
                        .map(|name| std::env::var(name).unwrap());
                    let mut cc = std::process::Command::new("cc");
                    cc.args(flags.split_whitespace()).args(["-E", "-P", "-o"]);
                    cc.args([folder + "/made.rs", source + "/made.rs.c"]);
                    assert!(cc.status().unwrap().success());
                }"#,
            ),
            (
                "src/main.rs",
                r#"include!(concat!(env!("OUT_DIR"), "/made.rs"));
                fn main() { made() }"#,
            ),
            ("deploy/static.sh", &script),
        ];
        for (name, content) in files {
            let file = folder.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, content).unwrap();
        }
        let mut script = Command::new("sh");
        let built = printed(
            script
                .arg(folder.path().join("deploy/static.sh"))
                .arg(&target),
        );
        let built = Path::new(built.trim());
        assert!(built.starts_with(folder.path()));
        // It is linked with nothing.
        let linked = Command::new("ldd").arg(built).output().unwrap();
        let linked = String::from_utf8(linked.stdout).unwrap();
        assert!(!linked.contains("=>"), "{linked}");
        let panic = Command::new(built).output().unwrap();
        let panic = String::from_utf8(panic.stderr).unwrap();
        assert!(panic.contains("panicked at /source/target/"), "{panic}");
        assert!(panic.contains("Jan  1 1970"), "{panic}");
        assert!(panic.contains("/source/made.rs.c"), "{panic}");
        fs::read(built).unwrap()
    };
    assert!(build() == build(), "two folders made two programs");
}
