//! User tokens that look like the real ones.

use std::hash::{BuildHasher, RandomState};

/// The length of tokens, about that of real ones.
const TOKEN_LENGTH: usize = 50;

/// Makes tokens, each one once.
///
/// They look unpredictable so that no test relies on their text. They protect
/// nothing: nobody can log in here.
#[derive(Default)]
pub(crate) struct TokenMint {
    hasher: RandomState,
    minted: u64,
}

impl TokenMint {
    pub(crate) fn mint(&mut self) -> String {
        self.minted += 1;
        let [a, b, c, d] = [0, 1, 2, 3].map(|part| self.hasher.hash_one((self.minted, part)));
        let mut token = format!("{a:016x}{b:016x}{c:016x}{d:016x}");
        token.truncate(TOKEN_LENGTH);
        token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_hexadecimal_and_all_different() {
        let mut mint = TokenMint::default();
        let tokens: Vec<_> = (0..1000).map(|_| mint.mint()).collect();
        for (index, token) in tokens.iter().enumerate() {
            assert_eq!(token.len(), TOKEN_LENGTH);
            assert!(token.bytes().all(|byte| byte.is_ascii_hexdigit()));
            assert!(!tokens[..index].contains(token));
        }
    }
}
