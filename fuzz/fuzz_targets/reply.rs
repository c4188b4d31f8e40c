//! The reader of Mesibo's replies, on any bytes: `cargo +nightly fuzz run reply`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mesibo::{
    operation::op,
    reply::{Done, FromReply as _, Group, Members, Reply, Sent, UserToken, Users},
};

fuzz_target!(|body: &[u8]| {
    if let Ok(reply) = Reply::read(body, op::MESSAGE) {
        let _ = Done::from_reply(&reply);
        let _ = UserToken::from_reply(&reply);
        let _ = Users::from_reply(&reply);
        let _ = Group::from_reply(&reply);
        let _ = Members::from_reply(&reply);
        let _ = Sent::from_reply(&reply);
    }
});
