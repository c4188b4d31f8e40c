//! What the client costs: forms, replies, and whole calls on a connection that is open.

use std::{
    fmt::Write as _,
    hint::black_box,
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
    time::Duration,
};

use divan::{AllocProfiler, Bencher, counter::BytesCount};
use mesibo::{
    Client, Config, Operation,
    operation::{Message, Recipient, op},
    reply::{self, FromReply, Sent, UserToken, Users},
};
use tokio::{runtime, time::Instant};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

const TEXT: &str = "Shall we meet at 10:30, in front of the station? ";

const SENT: &[u8] = br#"{"op":"message","mid":1387628,"result":true}"#;

fn main() {
    divan::main();
}

fn message(text: &str) -> Operation<Sent> {
    Operation::message(&Message {
        from: "alice@example.com",
        recipient: Recipient::To("bob@example.com"),
        kind: Some(1),
        expiry_seconds: Some(3600),
        msg: text,
    })
}

/// Answers every request on one connection. A request of this benchmark fits into a read.
fn serve(listener: &TcpListener) {
    let (mut stream, _) = listener.accept().expect("the client connects");
    stream.set_nodelay(true).expect("it is a TCP socket");
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", SENT.len());
    let response = [head.as_bytes(), SENT].concat();
    let mut request = [0; 4096];
    while stream.read(&mut request).is_ok_and(|read| read > 0) {
        if stream.write_all(&response).is_err() {
            return;
        }
    }
}

#[divan::bench]
fn call(bencher: Bencher) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || serve(&listener));
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("there are resources for it");
    let mut config = Config::new("default", "89314021d442c8169b2f3baf71c79caa3b026c16");
    config.url = format!("http://{address}/api.php")
        .parse()
        .expect("it is a URL");
    let client = Client::new(config, ()).expect("the configuration is right");
    bencher.bench_local(|| {
        let deadline = Instant::now() + Duration::from_secs(15);
        let sent = runtime.block_on(client.call(message(TEXT), deadline));
        sent.expect("it is answered")
    });
}

#[divan::bench(args = [100, 10 << 10, 1 << 20])]
fn form(bencher: Bencher, bytes: usize) {
    let text: String = TEXT.chars().cycle().take(bytes).collect();
    bencher
        .counter(BytesCount::new(bytes))
        .bench(|| message(black_box(&text)));
}

#[divan::bench(args = [1, 100])]
fn form_with_members(bencher: Bencher, members: usize) {
    let members: Vec<_> = (0..members)
        .map(|member| format!("user-{member}@example.com"))
        .collect();
    bencher.bench(|| Operation::group_remove_members(102_529, black_box(&members)));
}

/// Reads a reply as a call does.
fn read<R: FromReply>(body: &[u8], op: &str) -> R {
    reply::read(black_box(body), op).expect("the reply is a success")
}

#[divan::bench]
fn reply_sent() -> Sent {
    read(SENT, op::MESSAGE)
}

#[divan::bench]
fn reply_user_token() -> UserToken {
    let body = br#"{"user":{"uid":"5302","token":"89314021d442c8169b2f3baf71c79caa3b026c16"},
        "op":"useradd","result":true}"#;
    read(body, op::USER_ADD)
}

#[divan::bench(args = [1, 20])]
fn reply_users(bencher: Bencher, users: u32) {
    let mut body = r#"{"op":"usersget","result":"OK","users":["#.to_owned();
    for uid in 1..=users {
        let comma = if uid == 1 { "" } else { "," };
        let _ = write!(
            body,
            r#"{comma}{{"uid":"{uid}","address":"user-{uid}@example.com","active":1,"flag":0,
            "online":false,"lastonline":1598999925,"appid":"com.example"}}"#
        );
    }
    body += "]}";
    bencher.bench(|| read::<Users>(body.as_bytes(), op::USERS_GET));
}

#[divan::bench]
fn refusal() -> bool {
    let body = br#"{"op":"message","result":false,"error":"NOUSER"}"#;
    reply::read::<Sent>(black_box(body), op::MESSAGE).is_err()
}
