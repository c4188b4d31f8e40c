//! The form that an operation becomes: `application/x-www-form-urlencoded`, with
//! booleans as 1 and 0, and lists separated by commas.

use form_urlencoded::Serializer;

/// The first capacity of a form, in bytes. Most fit in, and need not grow.
const CAPACITY: usize = 256;

/// A form under construction.
pub(super) struct Form {
    op: &'static str,
    pairs: Serializer<'static, String>,
    /// How many pairs were appended.
    count: u32,
    targets: Targets,
}

/// Which pairs of a form say what its operation is about: bit `i` stands for pair `i`. No
/// operation has as many as 32 parameters.
#[derive(Clone, Copy, Default)]
pub(super) struct Targets(u32);

impl Form {
    /// A form whose first parameter names its operation.
    pub(super) fn new(op: &'static str) -> Self {
        let form = Self {
            op,
            pairs: Serializer::new(String::with_capacity(CAPACITY)),
            count: 0,
            targets: Targets::default(),
        };
        form.with("op", op)
    }

    /// Adds a parameter. One that is `None` is left out.
    pub(super) fn with(mut self, name: &str, value: impl Parameter) -> Self {
        value.append(name, &mut self);
        self
    }

    /// Adds a parameter that says what the operation is about: an id, or addresses.
    pub(super) fn with_target(self, name: &str, value: impl Parameter) -> Self {
        let pair = self.count;
        let mut form = self.with(name, value);
        if form.count > pair {
            form.targets.0 |= 1 << pair;
        }
        form
    }

    /// The name of the operation, the encoded form, and which of its pairs are targets.
    pub(super) fn finish(mut self) -> (&'static str, String, Targets) {
        (self.op, self.pairs.finish(), self.targets)
    }

    fn append(&mut self, name: &str, value: &str) {
        self.pairs.append_pair(name, value);
        self.count += 1;
    }
}

impl Targets {
    /// Whether a pair, counted from 0, is a target.
    pub(super) fn contains(self, pair: usize) -> bool {
        self.0 & (1 << pair) != 0
    }
}

/// A value that can be a parameter.
pub(super) trait Parameter {
    /// Appends the value to a form under a name: one pair, or none.
    fn append(self, name: &str, form: &mut Form);
}

impl Parameter for &str {
    fn append(self, name: &str, form: &mut Form) {
        form.append(name, self);
    }
}

impl Parameter for u32 {
    fn append(self, name: &str, form: &mut Form) {
        u64::from(self).append(name, form);
    }
}

impl Parameter for u64 {
    fn append(self, name: &str, form: &mut Form) {
        form.append(name, &self.to_string());
    }
}

impl Parameter for bool {
    fn append(self, name: &str, form: &mut Form) {
        form.append(name, if self { "1" } else { "0" });
    }
}

/// A list, separated by commas.
impl Parameter for &[String] {
    fn append(self, name: &str, form: &mut Form) {
        form.append(name, &self.join(","));
    }
}

impl<T: Parameter> Parameter for Option<T> {
    fn append(self, name: &str, form: &mut Form) {
        if let Some(value) = self {
            value.append(name, form);
        }
    }
}
