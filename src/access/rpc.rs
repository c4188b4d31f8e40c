//! The RPCs that a caller may be allowed to call.

use std::{collections::HashSet, sync::LazyLock};

use prost::Message as _;
use prost_types::FileDescriptorSet;

use crate::proto::FILE_DESCRIPTOR_SET;

/// Stands for every RPC, or for every RPC of a service.
const ANY: &str = "*";

/// The RPCs whose requests may have a `request_id`.
pub const WITH_REQUEST_ID: [&str; 2] = [
    "mesibo.v1.GroupService/CreateGroup",
    "mesibo.v1.MessageService/SendMessage",
];

/// Every RPC of the contract by its full name, such as
/// `mesibo.v1.UserService/ListUsers`.
static RPCS: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let descriptors =
        FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).expect("the descriptors are ours");
    let files = descriptors.file.iter();
    files
        .flat_map(|file| file.service.iter().map(|service| (file.package(), service)))
        .flat_map(|(package, service)| {
            let methods = service.method.iter();
            methods.map(move |method| format!("{package}.{}/{}", service.name(), method.name()))
        })
        .collect()
});

/// The full name of the RPC that an HTTP path stands for, if the contract has it.
#[must_use]
pub fn of_path(path: &str) -> Option<&'static str> {
    RPCS.get(path.strip_prefix('/')?).map(String::as_str)
}

/// The RPCs that a text allows: `*`, `mesibo.v1.UserService/*`, or one by its full
/// name. None if there is none of that name.
#[must_use]
pub fn allowed(text: &str) -> HashSet<&'static str> {
    let service = text.strip_suffix(ANY).filter(|rest| rest.ends_with('/'));
    RPCS.iter()
        .map(String::as_str)
        .filter(|rpc| {
            text == ANY || *rpc == text || service.is_some_and(|service| rpc.starts_with(service))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rpcs_are_allowed_all_or_by_service_or_by_name() {
        assert_eq!(allowed("*").len(), 12);
        assert_eq!(allowed("mesibo.v1.UserService/*").len(), 6);
        let one = "mesibo.v1.MessageService/SendMessage";
        assert_eq!(allowed(one), HashSet::from([one]));
        for none in [
            "",
            "/",
            "/*",
            "mesibo.v1.UserService",
            "mesibo.v1.*",
            "mesibo.v1.UserService/List*",
            "/mesibo.v1.UserService/ListUsers",
            "mesibo.v1.UserService/listusers",
        ] {
            assert!(allowed(none).is_empty(), "{none}");
        }
    }

    #[test]
    fn a_path_is_that_of_an_rpc_or_of_none() {
        let path = "/mesibo.v1.UserService/ListUsers";
        assert_eq!(of_path(path), Some(&path[1..]));
        for other in ["", "/", &path[1..], "//mesibo.v1.UserService/ListUsers"] {
            assert_eq!(of_path(other), None, "{other}");
        }
    }
}
