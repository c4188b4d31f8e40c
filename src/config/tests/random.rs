//! Settings files with random contents.

use proptest::{collection::vec, prop_assert, prop_oneof, strategy::Strategy as _};

use super::{file, path, read};
use crate::fuzz;

/// A text that no message may show.
const SECRET: &str = "s3ntinel-password";

#[test]
fn no_settings_file_makes_the_reader_panic_or_tell_a_secret() {
    let names = "listen|upstream-url|max-connections|error-codes|log|nothing|\\[callers.a\\]|\
                 \\[apps.b\\]|keys|may-call|rate|token-file|not-after";
    let proxy = format!("upstream-proxy = \"http://u:{SECRET}@127.0.0.1\"");
    let values = "\"[ -~]{0,12}\"|-?[0-9]{1,20}|true|\\[\"[a-z*/.]{0,9}\"\\]|\\{a = 1\\}|";
    let line = prop_oneof![
        (names, values).prop_map(|(name, value)| format!("{name} = {value}")),
        names.prop_map(String::from),
        "[ -~\\t]{0,30}".prop_map(String::from),
        proptest::strategy::Just(proxy),
    ];
    fuzz::holds(&vec(line, 0..8), |lines| {
        let file = file(&lines.join("\n"));
        let config = [("app-token", "t0k"), ("config", path(&file))];
        if let Err(mistakes) = read(&config) {
            prop_assert!(!mistakes.contains(SECRET), "{mistakes}");
        }
        Ok(())
    });
}
