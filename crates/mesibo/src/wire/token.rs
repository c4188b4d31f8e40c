//! The application's token, and the end of a form that it is.

use bytes::Bytes;
use form_urlencoded::byte_serialize;
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

/// How the parameter begins, behind others.
const NAME: &[u8] = b"&token=";

/// An application's token.
pub(crate) struct Token {
    secret: SecretString,
    /// Encoded once, and wiped with the last form that is being sent.
    parameter: Bytes,
}

impl Token {
    pub(crate) fn new(secret: SecretString) -> Self {
        let token = secret.expose_secret().as_bytes();
        // It never grows, which would leave a part of the token behind.
        let mut parameter = Zeroizing::new(Vec::with_capacity(NAME.len() + 3 * token.len()));
        parameter.extend_from_slice(NAME);
        for part in byte_serialize(token) {
            parameter.extend_from_slice(part.as_bytes());
        }
        Self {
            parameter: Bytes::from_owner(parameter),
            secret,
        }
    }

    pub(crate) fn secret(&self) -> &SecretString {
        &self.secret
    }

    /// What makes a form whole: `&token=` and the encoded token.
    pub(crate) fn parameter(&self) -> Bytes {
        self.parameter.clone()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_token_makes_a_form_whole(token: String) {
            let parameter = Token::new(token.clone().into()).parameter();
            let form = [b"op=useradd", &*parameter].concat();
            let decoded: Vec<_> = form_urlencoded::parse(&form).into_owned().collect();
            let expected = [("op", "useradd"), ("token", &*token)];
            prop_assert_eq!(decoded, expected.map(|(name, value)| (name.into(), value.into())));
        }
    }
}
