//! What is known of each RPC, read from the descriptors of the services: adding an RPC to
//! the contract is enough.

use std::{collections::HashSet, sync::LazyLock};

use hashbrown::HashMap;
use prost::Message as _;
use prost_types::{
    DescriptorProto, FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto, MethodOptions,
    ServiceDescriptorProto, method_options::IdempotencyLevel,
};

use crate::proto;

/// How deep messages within requests are looked into. A message may contain itself.
const MAX_DEPTH: usize = 4;

/// Stands for every RPC, or for every RPC of a service.
const ANY: &str = "*";

/// The descriptors of every service that is served, each with whom it is for.
const DESCRIPTORS: [(&[u8], Audience); 4] = [
    (proto::FILE_DESCRIPTOR_SET, Audience::Callers),
    (proto::health::FILE_DESCRIPTOR_SET, Audience::Everyone),
    (
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        Audience::Tools,
    ),
    (
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        Audience::Tools,
    ),
];

/// The policies of all RPCs, by the paths of their requests.
static POLICIES: LazyLock<HashMap<String, Policy>> = LazyLock::new(|| {
    let mut policies = HashMap::new();
    for (descriptors, audience) in DESCRIPTORS {
        let set = FileDescriptorSet::decode(descriptors).expect("generated descriptors decode");
        for file in &set.file {
            for policy in Policy::of_file(file, audience) {
                let index = policies.len();
                policies.insert(format!("/{}", policy.name), Policy { index, ..policy });
            }
        }
    }
    policies
});

/// The clients that a service is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Callers with the right to call the RPC: the services of the contract.
    Callers,
    /// Callers, or everyone if the settings say so: server reflection.
    Tools,
    /// Everyone: the health service.
    Everyone,
}

/// What an RPC does at Mesibo, as `idempotency_level` in the contract declares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The RPC reads: `NO_SIDE_EFFECTS`.
    Read,
    /// The RPC writes, and may be repeated: `IDEMPOTENT`.
    RepeatableWrite,
    /// The RPC writes, and a repeat writes again: no level is declared.
    Write,
}

/// A right that a request asks for by one of its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// To send messages from the `from_address` of the request.
    Send,
    /// To make and delete user tokens for the `app_id` of the request.
    Grant,
}

/// What is known of one RPC.
#[derive(Debug)]
pub struct Policy {
    /// The full name, such as `mesibo.v1.UserService/ListUsers`.
    name: String,
    service_length: usize,
    /// The position among all policies, from 0.
    pub index: usize,
    /// The clients that the RPC is for.
    pub audience: Audience,
    /// Whether the RPC reads or writes.
    pub effect: Effect,
    /// Whether the client, the server, or both send a stream of messages.
    pub is_streaming: bool,
    /// Whether the client sends a stream of messages.
    pub is_client_streaming: bool,
    /// The kind of the RPC, as metrics conventionally name it.
    pub grpc_type: &'static str,
    /// The full name of the RPC whose requests are the items of this one's stream, if they
    /// are.
    item_rpc: Option<String>,
    /// Whether a request may have a `request_id`, which makes a repeat safe.
    pub takes_request_id: bool,
    /// The rights that its caller needs besides that to call it.
    pub rights: Vec<Right>,
}

impl Policy {
    /// The policy of the RPC that the path of a request stands for. `None` if there is no
    /// such RPC.
    #[must_use]
    pub fn of_path(path: &str) -> Option<&'static Self> {
        POLICIES.get(path)
    }

    /// The policies of every RPC that is served.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        POLICIES.values()
    }

    /// The policies of the contract's RPCs.
    pub fn of_contract() -> impl Iterator<Item = &'static Self> {
        Self::all().filter(|policy| policy.audience == Audience::Callers)
    }

    /// The RPCs of the contract that a text allows: `*`, `mesibo.v1.UserService/*`, or one
    /// by its full name. Empty if no RPC has that name.
    #[must_use]
    pub fn allowed_by(text: &str) -> HashSet<&'static str> {
        let service = text.strip_suffix(ANY).filter(|rest| rest.ends_with('/'));
        Self::of_contract()
            .map(Self::name)
            .filter(|name| {
                text == ANY
                    || *name == text
                    || service.is_some_and(|service| name.starts_with(service))
            })
            .collect()
    }

    /// The full name, such as `mesibo.v1.UserService/ListUsers`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The full name of the service, such as `mesibo.v1.UserService`.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.name[..self.service_length]
    }

    /// The name of the method, such as `ListUsers`.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.name[self.service_length + 1..]
    }

    /// The full name of the RPC that takes the requests of this one by themselves: itself,
    /// or, if they come as the items of a stream, the one that takes an item.
    #[must_use]
    pub fn unary_name(&self) -> &str {
        self.item_rpc.as_deref().unwrap_or(&self.name)
    }

    /// Whether the requests of another RPC come to this one as the items of a stream.
    #[must_use]
    pub fn is_stream_of_items(&self) -> bool {
        self.item_rpc.is_some()
    }

    fn of_file(file: &FileDescriptorProto, audience: Audience) -> Vec<Self> {
        let services = file.service.iter();
        services
            .flat_map(|service| {
                let methods = service.method.iter();
                methods.map(move |method| Self::of_method(file, service, method, audience))
            })
            .collect()
    }

    fn of_method(
        file: &FileDescriptorProto,
        service: &ServiceDescriptorProto,
        method: &MethodDescriptorProto,
        audience: Audience,
    ) -> Self {
        let service_name = format!("{}.{}", file.package(), service.name());
        let level = method
            .options
            .as_ref()
            .map(MethodOptions::idempotency_level);
        let has = |field| has_field(file, method.input_type(), field, MAX_DEPTH);
        Self {
            name: format!("{service_name}/{}", method.name()),
            service_length: service_name.len(),
            index: 0,
            audience,
            effect: match level.unwrap_or_default() {
                IdempotencyLevel::NoSideEffects => Effect::Read,
                IdempotencyLevel::Idempotent => Effect::RepeatableWrite,
                IdempotencyLevel::IdempotencyUnknown => Effect::Write,
            },
            is_streaming: method.client_streaming() || method.server_streaming(),
            is_client_streaming: method.client_streaming(),
            grpc_type: match (method.client_streaming(), method.server_streaming()) {
                (false, false) => "unary",
                (true, false) => "client_stream",
                (false, true) => "server_stream",
                (true, true) => "bidi_stream",
            },
            item_rpc: item_rpc(file, service, method)
                .map(|item_rpc| format!("{service_name}/{}", item_rpc.name())),
            takes_request_id: has("request_id"),
            rights: [("from_address", Right::Send), ("app_id", Right::Grant)]
                .into_iter()
                .filter_map(|(field, right)| has(field).then_some(right))
                .collect(),
        }
    }
}

/// The RPC of a service whose request is a field of the messages that a stream has.
fn item_rpc<'a>(
    file: &FileDescriptorProto,
    service: &'a ServiceDescriptorProto,
    stream: &MethodDescriptorProto,
) -> Option<&'a MethodDescriptorProto> {
    let item = stream.client_streaming().then(|| stream.input_type())?;
    let fields = &message(file, item)?.field;
    let is_field = |message: &str| fields.iter().any(|field| field.type_name() == message);
    let mut methods = service.method.iter();
    methods.find(|method| !method.client_streaming() && is_field(method.input_type()))
}

/// Whether the message of this type, or a message in it, has a field of this name. A stream
/// may wrap the request of another RPC.
fn has_field(file: &FileDescriptorProto, type_name: &str, name: &str, depth: usize) -> bool {
    let fields = message(file, type_name).map_or(&[][..], |message| &message.field);
    fields.iter().any(|field| {
        field.name() == name || depth > 0 && has_field(file, field.type_name(), name, depth - 1)
    })
}

/// The message of a file with a fully qualified name, such as `.mesibo.v1.User`.
fn message<'a>(file: &'a FileDescriptorProto, name: &str) -> Option<&'a DescriptorProto> {
    let name = name.strip_prefix('.')?.strip_prefix(file.package())?;
    let name = name.strip_prefix('.')?;
    file.message_type
        .iter()
        .find(|message| message.name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(name: &str) -> &'static Policy {
        Policy::of_path(&format!("/{name}")).unwrap()
    }

    #[test]
    fn rpcs_are_allowed_all_or_by_service_or_by_name() {
        assert_eq!(Policy::allowed_by("*").len(), 19);
        assert_eq!(Policy::allowed_by("mesibo.v1.UserService/*").len(), 7);
        let one = "mesibo.v1.MessageService/SendMessage";
        assert_eq!(Policy::allowed_by(one), HashSet::from([one]));
        for none in [
            "",
            "/",
            "/*",
            "mesibo.v1.UserService",
            "mesibo.v1.*",
            "mesibo.v1.UserService/List*",
            "/mesibo.v1.UserService/ListUsers",
            "mesibo.v1.UserService/listusers",
            "grpc.health.v1.Health/Check",
        ] {
            assert!(Policy::allowed_by(none).is_empty(), "{none}");
        }
    }

    #[test]
    fn a_path_is_that_of_an_rpc_or_of_none() {
        let path = "/mesibo.v1.UserService/ListUsers";
        assert_eq!(policy(&path[1..]).name(), &path[1..]);
        for other in ["", "/", &path[1..], "//mesibo.v1.UserService/ListUsers"] {
            assert!(Policy::of_path(other).is_none(), "{other}");
        }
    }

    #[test]
    fn the_contract_says_what_an_rpc_does_and_takes() {
        let send = policy("mesibo.v1.MessageService/SendMessage");
        assert_eq!(send.service(), "mesibo.v1.MessageService");
        assert_eq!(send.method(), "SendMessage");
        assert_eq!(send.effect, Effect::Write);
        assert!(send.takes_request_id && send.rights == [Right::Send]);
        let list = policy("mesibo.v1.UserService/ListUsers");
        assert_eq!(list.effect, Effect::Read);
        assert!(!list.takes_request_id && !list.is_streaming);
        let edit = policy("mesibo.v1.UserService/EditUser");
        assert_eq!(edit.effect, Effect::RepeatableWrite);
        let create = policy("mesibo.v1.UserService/CreateUser");
        assert_eq!(create.rights, [Right::Grant]);
        for unary in [send, list, edit, create] {
            assert_eq!(
                (unary.unary_name(), unary.grpc_type),
                (unary.name(), "unary")
            );
        }
        let watch = policy("grpc.health.v1.Health/Watch");
        assert_eq!(watch.grpc_type, "server_stream");
        assert!(watch.is_streaming && !watch.is_client_streaming);
        assert_eq!(watch.audience, Audience::Everyone);
        let reflection = policy("grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
        assert!(reflection.is_client_streaming && reflection.audience == Audience::Tools);
    }

    #[test]
    fn a_stream_of_items_has_what_the_rpc_of_an_item_has() {
        for (stream, unary) in [
            ("UserService/CreateUsers", "UserService/CreateUser"),
            ("MessageService/SendMessages", "MessageService/SendMessage"),
        ] {
            let [stream, unary] = [stream, unary].map(|name| policy(&format!("mesibo.v1.{name}")));
            assert_eq!(stream.grpc_type, "bidi_stream");
            assert_eq!(stream.unary_name(), unary.name());
            assert!(stream.is_stream_of_items() && !unary.is_stream_of_items());
            assert_eq!(stream.rights, unary.rights);
            assert_eq!(stream.effect, unary.effect);
            assert_eq!(stream.takes_request_id, unary.takes_request_id);
        }
    }

    #[test]
    fn every_policy_has_a_position_of_its_own() {
        let mut positions: Vec<_> = Policy::all().map(|policy| policy.index).collect();
        positions.sort_unstable();
        assert!(positions.into_iter().eq(0..Policy::all().count()));
    }
}
