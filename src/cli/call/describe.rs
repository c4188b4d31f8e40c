//! What the RPCs take and give, with the comments of the contract.

use std::fmt::Write as _;

use prost_reflect::{
    FieldDescriptor, FileDescriptor, Kind, MessageDescriptor, MethodDescriptor, OneofDescriptor,
};

use super::rpc::{self, policy};
use crate::call::policy::Effect;

/// The package of the types that JSON has a form of its own for.
const WELL_KNOWN: &str = "google.protobuf";

/// How deep messages within messages are shown. A message may contain itself.
const MAX_DEPTH: usize = 4;

/// The RPCs of each service, with their comments of one line.
pub(in crate::cli) fn list() -> String {
    let mut text = String::new();
    let mut service = None;
    let width = rpc::all().map(|rpc| rpc.name().len()).max().unwrap_or(0);
    for rpc in rpc::all() {
        let name = rpc.parent_service().full_name().to_owned();
        if service.as_ref() != Some(&name) {
            let _ = writeln!(text, "{}{name}", if service.is_some() { "\n" } else { "" });
            service = Some(name);
        }
        let _ = writeln!(text, "  {:width$}  {}", rpc.name(), summary(&rpc));
    }
    text
}

/// The beginning of the comment of an RPC, up to the first full stop or colon.
pub(in crate::cli) fn summary(rpc: &MethodDescriptor) -> String {
    let comment = comment(&rpc.parent_service().parent_file(), rpc.path());
    let first = comment.split("\n\n").next().unwrap_or_default();
    let first = first.replace('\n', " ");
    let sentence = first.split(". ").flat_map(|part| part.split(": ")).next();
    sentence
        .unwrap_or_default()
        .trim_end_matches('.')
        .to_owned()
}

/// An RPC, its request and its response, field by field, with their comments.
pub(in crate::cli) fn describe(rpc: &MethodDescriptor) -> String {
    let mut text = String::new();
    let [_, _, full, ..] = rpc::names(rpc);
    let _ = writeln!(text, "{full}\n");
    indent(
        &mut text,
        2,
        &comment(&rpc.parent_service().parent_file(), rpc.path()),
    );
    let stream = |is_stream| if is_stream { "stream of " } else { "" };
    for (title, message, is_stream) in [
        ("Request", rpc.input(), rpc.is_client_streaming()),
        ("Response", rpc.output(), rpc.is_server_streaming()),
    ] {
        let _ = writeln!(
            text,
            "\n{title}: {}{}",
            stream(is_stream),
            message.full_name()
        );
        if message.fields().len() == 0 {
            text.push_str("\n  It has no fields.\n");
        }
        fields(&mut text, &message, 2, MAX_DEPTH);
    }
    let _ = writeln!(text, "\nSafe to repeat: {}", repeats(rpc));
    text
}

/// Whether an RPC may be repeated, in a line.
fn repeats(rpc: &MethodDescriptor) -> &'static str {
    let policy = policy(rpc);
    match policy.effect {
        Effect::Read => "yes, it changes nothing",
        Effect::RepeatableWrite => "yes, a second call changes nothing more",
        Effect::Write if policy.takes_request_id => "with a requestId, the same for each attempt",
        Effect::Write => "no, each call does it once more",
    }
}

/// The fields of a message, and of the messages in it.
fn fields(text: &mut String, message: &MessageDescriptor, depth: usize, rest: usize) {
    let mut last_oneof = None;
    for field in message.fields() {
        let oneof = field
            .containing_oneof()
            .filter(|oneof| !is_synthetic(oneof));
        if let Some(oneof) = &oneof
            && Some(oneof) != last_oneof.as_ref()
        {
            let _ = writeln!(text, "\n{:depth$}{}: one of", "", oneof.name());
            indent(
                text,
                depth + 4,
                &comment(&message.parent_file(), oneof.path()),
            );
        }
        let depth = if oneof.is_some() { depth + 2 } else { depth };
        last_oneof = oneof;
        let _ = writeln!(
            text,
            "\n{:depth$}{} ({})",
            "",
            field.json_name(),
            type_of(&field)
        );
        indent(
            text,
            depth + 4,
            &comment(&message.parent_file(), field.path()),
        );
        match field.kind() {
            Kind::Message(inner) if inner.package_name() != WELL_KNOWN && rest > 0 => {
                fields(text, &inner, depth + 4, rest - 1);
            }
            Kind::Enum(values) => {
                for value in values.values() {
                    let _ = writeln!(text, "\n{:1$}{2}", "", depth + 4, value.name());
                    indent(
                        text,
                        depth + 8,
                        &comment(&values.parent_file(), value.path()),
                    );
                }
            }
            _ => {}
        }
    }
}

/// Whether a oneof is how the descriptors say `optional`.
fn is_synthetic(oneof: &OneofDescriptor) -> bool {
    let mut fields = oneof.fields();
    fields.any(|field| field.field_descriptor_proto().proto3_optional())
}

/// The type of a field in JSON.
fn type_of(field: &FieldDescriptor) -> String {
    let one = match field.kind() {
        Kind::Int64 | Kind::Uint64 | Kind::Sint64 | Kind::Fixed64 | Kind::Sfixed64 => {
            "number, or text of digits".to_owned()
        }
        Kind::Int32 | Kind::Uint32 | Kind::Sint32 | Kind::Fixed32 | Kind::Sfixed32 => {
            "number".to_owned()
        }
        Kind::Double | Kind::Float => "number".to_owned(),
        Kind::Bool => "true or false".to_owned(),
        Kind::String => "text".to_owned(),
        Kind::Bytes => "text in base64".to_owned(),
        Kind::Enum(_) => "one of the names".to_owned(),
        Kind::Message(message) => match message.full_name() {
            "google.protobuf.Duration" => "duration such as \"90s\"".to_owned(),
            "google.protobuf.Timestamp" => "time such as \"2030-12-31T00:00:00Z\"".to_owned(),
            _ => format!("object {}", message.name()),
        },
    };
    if field.is_list() {
        format!("list of {one}")
    } else {
        one
    }
}

/// The comment before what is at a path of a file, without the spaces that it is indented by.
fn comment(file: &FileDescriptor, path: &[i32]) -> String {
    let info = file.file_descriptor_proto().source_code_info.as_ref();
    let mut locations = info.into_iter().flat_map(|info| &info.location);
    let location = locations.find(|location| location.path == path);
    let comment = location.map_or("", |location| location.leading_comments());
    let lines = comment
        .lines()
        .map(|line| line.strip_prefix(' ').unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

/// Adds a text whose lines are indented.
fn indent(text: &mut String, depth: usize, lines: &str) {
    for line in lines.lines() {
        let _ = writeln!(text, "{}", format!("{:depth$}{line}", "").trim_end());
    }
}
