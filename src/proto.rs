//! The generated code of the contract, `proto/mesibo/v1`, and nothing else.

#![allow(clippy::all, clippy::pedantic, missing_docs)]

tonic::include_proto!("mesibo.v1");

/// The contract as an encoded `FileDescriptorSet`, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// gRPC's health service, `proto/grpc/health/v1`.
pub mod health {
    tonic::include_proto!("grpc.health.v1");

    /// The service as an encoded `FileDescriptorSet`.
    pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/health.bin"));
}
