//! What `deploy/` and docs/operations.md give to operators: what they say fits the
//! program, and what can run on one machine runs here.

mod compose;
mod helm;
mod image;
mod kubernetes;
mod monitoring;
mod package;
pub mod prometheus;
mod start;
mod systemd;

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
    time::Duration,
};

use serde_json::Value;

use crate::support::skip;

/// A file of `deploy/`.
fn path(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "deploy", name]
        .iter()
        .collect()
}

/// What a file of `deploy/` holds.
fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap()
}

fn operations() -> String {
    read("../docs/operations.md")
}

/// What YAML says, one value a document.
fn documents(yaml: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(yaml).unwrap()
}

/// The only document of a file in `deploy/`.
fn document(name: &str) -> Value {
    let mut documents = documents(&read(name));
    assert_eq!(documents.len(), 1, "{name}");
    documents.remove(0)
}

/// A tool with these arguments, if it is there.
pub fn tool(name: &str, args: &[&str], package: &str) -> Option<Command> {
    if Command::new(name).arg("--help").output().is_err() {
        skip(&format!("{name}, which is in {package}"));
        return None;
    }
    let mut command = Command::new(name);
    command.args(args);
    Some(command)
}

/// What a command printed, which must have gone well.
fn printed(command: &mut Command) -> String {
    let output: Output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What is under a JSON pointer, which must be there.
fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value
        .pointer(pointer)
        .unwrap_or_else(|| panic!("no {pointer} in {value:#}"))
}

/// The text under a JSON pointer.
fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    at(value, pointer).as_str().unwrap()
}

/// The list under a JSON pointer.
fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    at(value, pointer).as_array().unwrap()
}

/// The lists of strings that commands and their arguments are.
fn words(value: &Value) -> Vec<String> {
    let words = value.as_array().unwrap().iter();
    words
        .map(|word| word.as_str().unwrap().to_owned())
        .collect()
}

fn duration(text: &str) -> Duration {
    humantime::parse_duration(text).unwrap()
}
