//! Compiles the contract with protox, so that no `protoc` has to be installed.

use std::{env, error::Error, fs, path::Path};

use prost::Message as _;
use prost_types::FileDescriptorSet;

const PROTOS: [&str; 5] = [
    "mesibo/v1/directory_service.proto",
    "mesibo/v1/group_service.proto",
    "mesibo/v1/item_status.proto",
    "mesibo/v1/message_service.proto",
    "mesibo/v1/user_service.proto",
];

/// Messages with a field that is a secret: they get a `Debug` that leaves it out.
/// The option `debug_redact` would say so in the contract, but prost does not heed
/// it, and compilers before protobuf 22 refuse it.
const SECRETS: [(&str, &str); 3] = [
    ("mesibo.v1.CreateUserResponse", "access_token"),
    ("mesibo.v1.RegenerateUserTokenResponse", "access_token"),
    ("mesibo.v1.User", "access_token"),
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");

    let builder = tonic_prost_build::configure().codec_path("crate::codec::BoundedCodec");
    let health = describe(&["grpc/health/v1/health.proto"], "health.bin")?;
    builder.clone().compile_fds(health)?;

    let mut builder = builder.skip_debug(SECRETS.map(|(message, _)| message));
    for (message, field) in SECRETS {
        builder = builder
            .message_attribute(message, "#[derive(derive_more::Debug)]")
            .field_attribute(format!("{message}.{field}"), "#[debug(skip)]");
    }
    builder.compile_fds(describe(&PROTOS, "descriptors.bin")?)?;
    Ok(())
}

/// Describes files, and writes that to a file, from which server reflection answers.
fn describe(protos: &[&str], name: &str) -> Result<FileDescriptorSet, Box<dyn Error>> {
    let descriptors = protox::compile(protos, ["proto"])?;
    let file = Path::new(&env::var("OUT_DIR")?).join(name);
    fs::write(file, descriptors.encode_to_vec())?;
    Ok(descriptors)
}
