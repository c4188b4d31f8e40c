//! The descriptors of the contract, for what reads and writes its messages by name.

use std::sync::LazyLock;

use prost_reflect::DescriptorPool;

use crate::proto;

/// The descriptors, with their comments.
pub(crate) static CONTRACT: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(proto::FILE_DESCRIPTOR_SET).expect("generated descriptors decode")
});
