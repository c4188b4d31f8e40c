//! A typed gRPC facade for Mesibo's form-encoded backend API.
//!
//! - [`proto`]: the generated code of the contract

pub mod proto;
