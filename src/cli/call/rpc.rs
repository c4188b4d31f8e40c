//! The RPCs of the contract, by their names.

use http::uri::PathAndQuery;
use prost_reflect::MethodDescriptor;

use crate::{call::Policy, descriptors::CONTRACT};

/// The RPCs, in the order of the contract.
pub(in crate::cli) fn all() -> impl Iterator<Item = MethodDescriptor> {
    let services = CONTRACT.services();
    let methods = services.flat_map(|service| service.methods().collect::<Vec<_>>());
    methods.collect::<Vec<_>>().into_iter()
}

/// The names of an RPC: the short one, and those that it has in other tools.
pub(in crate::cli) fn names(rpc: &MethodDescriptor) -> [String; 5] {
    let (method, service) = (rpc.name(), rpc.parent_service());
    let (short, full) = (service.name(), service.full_name());
    [
        method.to_owned(),
        format!("{short}/{method}"),
        format!("{full}/{method}"),
        format!("{full}.{method}"),
        format!("/{full}/{method}"),
    ]
}

/// The RPC of a name.
pub(in crate::cli) fn find(name: &str) -> Option<MethodDescriptor> {
    all().find(|rpc| names(rpc).iter().any(|known| known == name))
}

/// The path of its requests.
pub(super) fn path(rpc: &MethodDescriptor) -> PathAndQuery {
    let [.., path] = names(rpc);
    path.parse().expect("the name of an RPC makes a path")
}

/// What is known of it.
pub(super) fn policy(rpc: &MethodDescriptor) -> &'static Policy {
    let [.., path] = names(rpc);
    Policy::of_path(&path).expect("every RPC of the contract has a policy")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_name_stands_for_one_rpc() {
        let mut seen = HashSet::new();
        for rpc in all() {
            for name in names(&rpc) {
                assert_eq!(find(&name).unwrap(), rpc);
                assert!(seen.insert(name));
            }
        }
        assert_eq!(all().count(), Policy::of_contract().count());
        assert!(find("sendmessage").is_none());
    }
}
