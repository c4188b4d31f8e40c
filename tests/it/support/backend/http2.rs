//! HTTP/2, frame by frame, so that it can fail in every way that there is.

use std::{collections::HashMap, io, pin::pin, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, WriteHalf, split},
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{Answer, Recorded, Shared, form};
use crate::support::http2::{
    ACK, DATA, END_HEADERS, END_STREAM, Frame, HEADERS, PING, PREFACE, REFUSED_STREAM, RST_STREAM,
    SETTINGS, header,
};

/// `INTERNAL_ERROR`.
const INTERNAL_ERROR: u32 = 2;

/// The settings of connections, one after the other: identifiers and values.
const VARIANTS: [&[(u16, u32)]; 4] = [
    &[],
    // MAX_CONCURRENT_STREAMS.
    &[(3, 10)],
    // INITIAL_WINDOW_SIZE: a form comes in pieces.
    &[(4, 16)],
    &[(3, 100), (4, 1 << 20)],
];

/// A connection, of which each answer has a part.
struct Connection<'a> {
    number: usize,
    shared: &'a Shared,
    frames: UnboundedSender<Frame>,
    /// What is on its way to a stream, and what writes. They end with the connection.
    tasks: JoinSet<()>,
    bodies: HashMap<u32, Vec<u8>>,
    /// The last stream that counts, once it was said.
    last: u32,
    /// The highest stream of which a request was looked at.
    highest: u32,
    /// How long nothing may come before it is closed.
    idle: Option<Duration>,
}

/// Whether a connection goes on.
type GoesOn = bool;

/// Serves a connection.
pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    number: usize,
    shared: &Shared,
) -> io::Result<()> {
    let (mut reader, writer) = split(stream);
    let mut preface = [0; PREFACE.len()];
    reader.read_exact(&mut preface).await?;
    let (frames, queue) = unbounded_channel();
    let mut tasks = JoinSet::new();
    tasks.spawn(write(writer, queue));
    let mut connection = Connection {
        number,
        shared,
        frames,
        tasks,
        bodies: HashMap::new(),
        last: u32::MAX >> 1,
        highest: 0,
        idle: None,
    };
    let settings = VARIANTS[number % VARIANTS.len()].iter();
    let settings = settings.flat_map(|(id, value)| {
        let (id, value) = (id.to_be_bytes(), value.to_be_bytes());
        [&id[..], &value].concat()
    });
    connection.send(Frame::new(SETTINGS, 0, 0, settings.collect::<Vec<_>>()));
    loop {
        // A frame that has begun to arrive must not be given up.
        let mut next = pin!(Frame::read(&mut reader));
        let next = loop {
            let Some(idle) = connection.idle else {
                break next.await;
            };
            match timeout(idle, &mut next).await {
                Ok(next) => break next,
                Err(_) if connection.is_busy() => {}
                Err(_) => break None,
            }
        };
        let Some(frame) = next else {
            return Ok(());
        };
        if !connection.take(frame).await {
            return Ok(());
        }
    }
}

/// Writes frames. What writes at once writes together.
async fn write(
    mut writer: WriteHalf<impl AsyncRead + AsyncWrite>,
    mut queue: UnboundedReceiver<Frame>,
) {
    let mut frames = Vec::new();
    while queue.recv_many(&mut frames, 100).await > 0 {
        let bytes: Vec<_> = frames.drain(..).flat_map(|frame| frame.encode()).collect();
        if writer.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

impl Connection<'_> {
    fn send(&self, frame: Frame) {
        let _ = self.frames.send(frame);
    }

    /// Whether a stream is open, besides those that get no answer.
    fn is_busy(&mut self) -> bool {
        while self.tasks.try_join_next().is_some() {}
        // One of them writes.
        self.tasks.len() > 1 || !self.bodies.is_empty()
    }

    async fn take(&mut self, frame: Frame) -> GoesOn {
        let is_ack = frame.flags & ACK != 0;
        match frame.kind {
            SETTINGS if !is_ack => self.send(Frame::new(SETTINGS, ACK, 0, [])),
            PING if !is_ack => self.send(Frame::new(PING, ACK, 0, frame.payload)),
            HEADERS => {
                self.bodies.insert(frame.stream, Vec::new());
            }
            RST_STREAM => {
                self.bodies.remove(&frame.stream);
                self.shared.hung_up.send_modify(|hung_up| *hung_up += 1);
            }
            DATA => {
                let length = u32::try_from(frame.payload.len()).unwrap();
                if length > 0 {
                    self.send(Frame::window_update(0, length));
                    self.send(Frame::window_update(frame.stream, length));
                }
                let Some(body) = self.bodies.get_mut(&frame.stream) else {
                    return true;
                };
                body.extend(frame.payload);
                if frame.flags & END_STREAM != 0 {
                    let body = self.bodies.remove(&frame.stream).unwrap();
                    return frame.stream > self.last || self.request(frame.stream, &body).await;
                }
            }
            _ => {}
        }
        true
    }

    /// Does with a request what the script says.
    async fn request(&mut self, stream: u32, body: &[u8]) -> GoesOn {
        let request = Recorded {
            line: "HTTP/2".to_owned(),
            headers: Vec::new(),
            form: form(body),
            connection: self.number,
        };
        self.shared.requests.lock().unwrap().push(request.clone());
        let mut answer = (self.shared.script)(&request);
        loop {
            match answer {
                Answer::StopReading(pause, then) => {
                    sleep(pause).await;
                    answer = *then;
                }
                // Forms in pieces are not whole in the order of their streams.
                Answer::GoAway(_, None) if stream < self.highest => {
                    answer = Answer::Reset(REFUSED_STREAM);
                }
                Answer::GoAway(code, None) => {
                    self.last = self.last.min(self.highest);
                    self.send(Frame::go_away(self.last, code));
                    return true;
                }
                Answer::GoAway(code, Some(then)) => {
                    self.last = self.last.min(self.highest.max(stream));
                    self.send(Frame::go_away(self.last, code));
                    answer = *then;
                }
                Answer::Garbage => {
                    self.highest = self.highest.max(stream);
                    // It indexes what is in no table.
                    self.send(Frame::new(HEADERS, END_HEADERS, stream, [0xff; 4]));
                    return true;
                }
                Answer::Close => return false,
                Answer::SendAndCloseIdle(ref bytes, idle) => {
                    self.idle = Some(idle);
                    let bytes = bytes.clone();
                    answer = Answer::Send(bytes);
                }
                answer => {
                    self.highest = self.highest.max(stream);
                    let frames = self.frames.clone();
                    self.tasks.spawn(reply(stream, answer, frames));
                    return true;
                }
            }
        }
    }
}

/// Answers on a stream.
async fn reply(stream: u32, mut answer: Answer, frames: UnboundedSender<Frame>) {
    while let Answer::After(delay, then) = answer {
        sleep(delay).await;
        answer = *then;
    }
    let send = |frame| drop(frames.send(frame));
    match answer {
        Answer::Send(bytes) => translate(stream, &bytes, true).into_iter().for_each(send),
        Answer::SendAndClose(bytes) => {
            translate(stream, &bytes, false).into_iter().for_each(send);
            send(Frame::reset(stream, INTERNAL_ERROR));
        }
        Answer::Drip(bytes) => {
            for frame in translate(stream, &bytes, true) {
                if frame.kind != DATA {
                    send(frame);
                    continue;
                }
                for byte in frame.payload {
                    send(Frame::new(DATA, 0, stream, [byte]));
                    tokio::task::yield_now().await;
                }
                send(Frame::new(DATA, END_STREAM, stream, []));
            }
        }
        Answer::Reset(code) => send(Frame::reset(stream, code)),
        Answer::Hang => {}
        other => unreachable!("{other:?} is of a connection"),
    }
}

/// The frames of a response of HTTP/1.1, or of a part of one.
fn translate(stream: u32, bytes: &[u8], is_whole: bool) -> Vec<Frame> {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return Vec::new();
    };
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    let mut block = header(":status", status);
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        block.extend(header(name, value));
    }
    let end = if is_whole { END_STREAM } else { 0 };
    vec![
        Frame::new(HEADERS, END_HEADERS, stream, block),
        Frame::new(DATA, end, stream, body),
    ]
}
