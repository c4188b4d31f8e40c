//! The form that an operation becomes: `application/x-www-form-urlencoded`, with
//! booleans as 1 and 0, and lists separated by commas.

use form_urlencoded::Serializer;

use super::{
    operation::{GroupOptions, Idempotency, Operation},
    reply::FromReply,
};

/// The form of an operation, in the making.
pub(super) struct Form {
    name: &'static str,
    pairs: Serializer<'static, String>,
}

impl Form {
    /// A form that names its operation.
    pub(super) fn new(name: &'static str) -> Self {
        let pairs = Serializer::new(String::new());
        Self { name, pairs }.with("op", name)
    }

    /// Adds a parameter. One that is `None` is left out.
    pub(super) fn with(mut self, name: &str, value: impl Parameter) -> Self {
        value.append(name, &mut self.pairs);
        self
    }

    /// Adds the options of a group.
    pub(super) fn with_options(self, options: &GroupOptions) -> Self {
        self.with("name", options.name)
            .with("flag", options.flag)
            .with("expiry", options.expiry_seconds)
            .with("expiryext", options.expiryext_seconds)
            .with("active", options.active)
    }

    /// The operation that posts this form.
    pub(super) fn into_operation<R: FromReply>(mut self, idempotency: Idempotency) -> Operation<R> {
        Operation::new(self.name, idempotency, self.pairs.finish())
    }
}

/// A value that knows its form on the wire.
pub(super) trait Parameter {
    /// Appends itself under a name.
    fn append(self, name: &str, pairs: &mut Serializer<'static, String>);
}

impl Parameter for &str {
    fn append(self, name: &str, pairs: &mut Serializer<'static, String>) {
        pairs.append_pair(name, self);
    }
}

impl Parameter for u32 {
    fn append(self, name: &str, pairs: &mut Serializer<'static, String>) {
        u64::from(self).append(name, pairs);
    }
}

impl Parameter for u64 {
    fn append(self, name: &str, pairs: &mut Serializer<'static, String>) {
        pairs.append_pair(name, &self.to_string());
    }
}

impl Parameter for bool {
    fn append(self, name: &str, pairs: &mut Serializer<'static, String>) {
        pairs.append_pair(name, if self { "1" } else { "0" });
    }
}

/// A list, separated by commas.
impl Parameter for &[String] {
    fn append(self, name: &str, pairs: &mut Serializer<'static, String>) {
        pairs.append_pair(name, &self.join(","));
    }
}

impl<T: Parameter> Parameter for Option<T> {
    fn append(self, name: &str, pairs: &mut Serializer<'static, String>) {
        if let Some(value) = self {
            value.append(name, pairs);
        }
    }
}
