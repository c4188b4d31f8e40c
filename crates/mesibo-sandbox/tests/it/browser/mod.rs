//! The page, in a real browser.
//!
//! Without Chromium, its driver or axe-core these tests say SKIPPED, unless
//! `REQUIRE_TOOLS` is set.

mod looks;
mod session;
mod use_of_it;
