//! Who may call what, for which app, and how often.

mod credentials;
mod metadata;
mod permissions;
mod rates;
mod start;

use std::{fs, path::Path};

use http::{HeaderMap, uri::PathAndQuery};
use mesibo_grpc::{access::key::KeyHash, proto::FILE_DESCRIPTOR_SET};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tempfile::TempDir;
use tonic::{
    Request, Response, Status,
    body::Body,
    client::{Grpc, GrpcService},
    codegen::StdError,
    metadata::MetadataMap,
};
use tonic_prost::ProstCodec;

use crate::support::{Answer, Backend, EVERYTHING, Facade, facade, write_private};

/// The tokens of the two apps.
const SHOP_TOKEN: &str = "s3ntinel-shop";
const SUPPORT_TOKEN: &str = "s3ntinel-support";

/// The keys of the callers.
pub const ADMIN: &str = "mgk_s3ntinel_admin";
const ORDERS: &str = "mgk_s3ntinel_orders";
const ORDERS_NEXT: &str = "mgk_s3ntinel_orders_next";
const READER: &str = "mgk_s3ntinel_reader";

/// Two apps, shop and support, of which shop is the default, and three callers.
pub struct Fixture {
    pub shop: Backend,
    pub support: Backend,
    pub facade: Facade,
    _directory: TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self::with(Answer::ok(EVERYTHING), "", &[])
    }

    /// Where `shop` answers so, its table and those of callers have this in addition, and
    /// the facade has these settings.
    pub fn with(shop: Answer, tables: &str, settings: &[(&str, &str)]) -> Self {
        let shop = Backend::always(shop);
        let url = shop.url();
        Self::at(&url, shop, tables, settings)
    }

    /// The same, where `shop` is said to be elsewhere.
    pub fn at(url: &str, shop: Backend, tables: &str, settings: &[(&str, &str)]) -> Self {
        let support = Backend::always(Answer::ok(EVERYTHING));
        let directory = tempfile::tempdir().unwrap();
        let config = write_settings(directory.path(), url, &support.url(), tables);
        let mut values = vec![("config", config.as_str())];
        values.extend(settings);
        let facade = Facade::of(facade::config_of_apps(&values));
        Self {
            shop,
            support,
            facade,
            _directory: directory,
        }
    }
}

/// Writes the settings file, and gives its path.
fn write_settings(directory: &Path, shop: &str, support: &str, tables: &str) -> String {
    for (app, token) in [("shop", SHOP_TOKEN), ("support", SUPPORT_TOKEN)] {
        write_private(&directory.join(app), token);
    }
    let directory_name = directory.display();
    let hash = |key: &str| KeyHash::of(key.as_bytes());
    let (admin, orders, next, reader) =
        (hash(ADMIN), hash(ORDERS), hash(ORDERS_NEXT), hash(READER));
    let settings = format!(
        r#"
default-app = "shop"

[callers.admin]
keys = ["{admin}"]
may-call = ["*"]
apps = ["shop", "support"]

[callers.orders]
keys = ["{orders}", "{next}"]
may-call = ["mesibo.v1.MessageService/*", "mesibo.v1.UserService/ListUsers"]
apps = ["shop"]

[callers.reader]
keys = ["{reader}"]
may-call = ["mesibo.v1.UserService/ListUsers"]
apps = ["support"]

[apps.support]
token-file = "{directory_name}/support"
upstream-url = "{support}"

[apps.shop]
token-file = "{directory_name}/shop"
upstream-url = "{shop}"
{tables}"#
    );
    let path = directory.join("settings.toml");
    fs::write(&path, settings).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The paths of all RPCs of the contract.
fn paths() -> Vec<String> {
    let descriptors = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    let mut paths = Vec::new();
    for file in &descriptors.file {
        for service in &file.service {
            for method in &service.method {
                let (package, service) = (file.package(), service.name());
                paths.push(format!("/{package}.{service}/{}", method.name()));
            }
        }
    }
    assert_eq!(paths.len(), 19);
    paths
}

/// What the metadata of a call has: a value of `authorization`, and one of `mesibo-app`.
pub type Shown<'a> = (Option<&'a str>, Option<&'a str>);

/// Calls any RPC with an empty request.
pub async fn call<T>(
    channel: &T,
    path: &str,
    (authorization, app): Shown<'_>,
) -> Result<Response<()>, Status>
where
    T: Clone + GrpcService<Body>,
    T::ResponseBody: http_body::Body + Send + 'static,
    <T::ResponseBody as http_body::Body>::Error: Into<StdError>,
{
    let mut headers = HeaderMap::new();
    for (name, value) in [("authorization", authorization), ("mesibo-app", app)] {
        if let Some(value) = value {
            headers.insert(name, value.parse().unwrap());
        }
    }
    let mut request = Request::new(());
    *request.metadata_mut() = MetadataMap::from_headers(headers);
    let mut client = Grpc::new(channel.clone());
    let ready = client.ready().await.map_err(Into::into);
    ready.unwrap();
    let path = PathAndQuery::try_from(path).unwrap();
    let codec: ProstCodec<(), ()> = ProstCodec::default();
    client.unary(request, path, codec).await
}

/// The metadata that shows a key.
pub fn bearer(key: &str) -> String {
    format!("Bearer {key}")
}
