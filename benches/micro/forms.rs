//! The forms that operations become.

use std::hint::black_box;

use divan::{Bencher, counter::BytesCount};
use mesibo::{
    Operation,
    operation::{Message, Recipient},
};

const TEXT: &str = "Shall we meet at 10:30, in front of the station? ";

#[divan::bench(args = [100, 10 << 10, 1 << 20])]
fn message(bencher: Bencher, bytes: usize) {
    let text: String = TEXT.chars().cycle().take(bytes).collect();
    let message = Message {
        from: "alice@example.com",
        recipient: Recipient::To("bob@example.com"),
        kind: Some(1),
        expiry_seconds: Some(3600),
        msg: &text,
    };
    bencher
        .counter(BytesCount::new(bytes))
        .bench(|| Operation::message(black_box(&message)));
}

#[divan::bench(args = [1, 100])]
fn members(bencher: Bencher, members: usize) {
    let members: Vec<_> = (0..members)
        .map(|member| format!("user-{member}@example.com"))
        .collect();
    bencher.bench(|| Operation::group_remove_members(102_529, black_box(&members)));
}
