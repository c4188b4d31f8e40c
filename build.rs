//! Compiles the contract with protox, so that no `protoc` has to be installed.

use std::{env, error::Error, fs, path::Path};

use prost::Message as _;

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

    let descriptors = protox::compile(PROTOS, ["proto"])?;

    // Server reflection answers from this file.
    let out_dir = env::var("OUT_DIR")?;
    fs::write(
        Path::new(&out_dir).join("descriptors.bin"),
        descriptors.encode_to_vec(),
    )?;

    let mut builder = tonic_prost_build::configure()
        .codec_path("crate::codec::BoundedCodec")
        .skip_debug(SECRETS.map(|(message, _)| message));
    for (message, field) in SECRETS {
        builder = builder
            .message_attribute(message, "#[derive(derive_more::Debug)]")
            .field_attribute(format!("{message}.{field}"), "#[debug(skip)]");
    }
    builder.compile_fds(descriptors)?;
    Ok(())
}
