//! What the pool, the calls and the task of an HTTP/2 connection share.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::watched::Seen;

/// How long nothing may come from the server while streams are open before it is asked for
/// a sign of life.
const SILENCE: Duration = Duration::from_secs(10);

/// How long a call that is given up must have waited, without a sign of life, for the
/// server to be asked for one at once.
const DOUBT: Duration = Duration::from_secs(1);

/// How long the server has for that, and for the end of a connection without streams.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a connection is kept.
#[derive(Clone, Copy, Debug)]
pub(in crate::net) struct Limits {
    /// Without a stream.
    pub(in crate::net) idle_timeout: Duration,
    /// For new streams.
    pub(in crate::net) lifetime: Duration,
}

/// The state of a connection.
pub(super) struct Link {
    pub(super) seen: Arc<Seen>,
    limits: Limits,
    opened_at: Instant,
    state: Mutex<State>,
}

struct State {
    /// How many streams are open.
    streams: usize,
    /// Since when there are streams, or none.
    since: Instant,
    /// Since when the connection takes no more streams.
    retired_at: Option<Instant>,
    /// When the server was asked for a sign of life, if none came since.
    pinged_at: Option<Instant>,
    /// When a call gave the server up, if no sign of life came since.
    doubted_at: Option<Instant>,
    /// Whether a call was told that the connection was lost.
    is_told: bool,
    /// Whether the task waits for what is due while streams are open.
    waits_busy: bool,
}

/// What the task of a connection has to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing until then.
    Wait(Instant),
    /// Have the pool forget the connection.
    Retire,
    /// Ask the server for a sign of life.
    Ping,
    /// End the connection, for this reason.
    End(&'static str),
}

impl Link {
    pub(super) fn new(seen: Arc<Seen>, limits: Limits) -> Self {
        let now = Instant::now();
        Self {
            seen,
            limits,
            opened_at: now,
            state: Mutex::new(State {
                streams: 0,
                since: now,
                retired_at: None,
                pinged_at: None,
                doubted_at: None,
                is_told: false,
                waits_busy: false,
            }),
        }
    }

    /// Begins a stream, if the connection takes another one, `max` in all. A server that is
    /// in doubt gets none: if it is gone, it is to cost the calls that wait for it, and no
    /// further ones.
    pub(super) fn begin_stream(&self, now: Instant, max: usize) -> bool {
        let mut state = self.state();
        let is_doubted = state.is_doubted(self.seen.read_at());
        let is_free = self.is_usable_in(&state, now) && !is_doubted && state.streams < max;
        if is_free {
            if state.streams == 0 {
                state.since = now;
            }
            state.streams += 1;
        }
        is_free
    }

    /// A stream is over, on which the server was to answer since then if it did not.
    pub(super) fn end_stream(&self, unanswered_since: Option<Instant>) {
        let now = Instant::now();
        let mut state = self.state();
        state.streams = state.streams.saturating_sub(1);
        if state.streams == 0 {
            state.since = now;
        }
        if unanswered_since.is_some_and(|since| now >= since.max(self.seen.read_at()) + DOUBT) {
            state.doubted_at = Some(now);
        }
    }

    /// Whether the connection takes streams, as long as there are not too many.
    pub(super) fn is_usable(&self, now: Instant) -> bool {
        self.is_usable_in(&self.state(), now)
    }

    fn is_usable_in(&self, state: &State, now: Instant) -> bool {
        let is_idle = state.streams == 0 && now >= state.since + self.limits.idle_timeout;
        let is_expired = now >= self.opened_at + self.limits.lifetime;
        let is_open = !self.seen.is_going_away() && !self.seen.is_ended();
        is_open && state.retired_at.is_none() && !is_idle && !is_expired
    }

    /// The connection takes no more streams.
    pub(super) fn retire(&self) {
        let now = Instant::now();
        self.state().retired_at.get_or_insert(now);
    }

    /// A call is told that the connection was lost. Returns whether another one was told
    /// before.
    pub(super) fn tell_loss(&self) -> bool {
        std::mem::replace(&mut self.state().is_told, true)
    }

    /// Whether something is due although no time has passed.
    pub(super) fn is_changed(&self) -> bool {
        let mut state = self.state();
        let is_doubted = state.is_doubted(self.seen.read_at());
        self.seen.is_going_away() && state.retired_at.is_none()
            || is_doubted && state.pinged_at.is_none()
            || state.waits_busy && state.streams == 0
    }

    /// Says what is to be done, and counts it as done.
    pub(super) fn due(&self, now: Instant) -> Due {
        let mut state = self.state();
        state.waits_busy = state.streams > 0;
        let Some(retired_at) = state.retired_at else {
            if !self.is_usable_in(&state, now) {
                state.retired_at = Some(now);
                return Due::Retire;
            }
            let expires_at = self.opened_at + self.limits.lifetime;
            return if state.streams == 0 && !state.is_doubted(self.seen.read_at()) {
                // A stream that begins meanwhile is to be looked after in time.
                let idle_until = state.since + self.limits.idle_timeout;
                Due::Wait(idle_until.min(now + SILENCE)).until(expires_at)
            } else {
                state.life(self.seen.read_at(), now).until(expires_at)
            };
        };
        if state.streams > 0 {
            return state.life(self.seen.read_at(), now);
        }
        let end_at = retired_at.max(state.since) + PATIENCE;
        if now < end_at {
            Due::Wait(end_at)
        } else {
            Due::End("the server does not let the connection end")
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether no sign of life came since a call gave the server up.
    fn is_doubted(&mut self, read_at: Instant) -> bool {
        self.doubted_at = self.doubted_at.filter(|&doubted_at| doubted_at > read_at);
        self.doubted_at.is_some()
    }

    /// What is due for a sign of life while streams are open.
    fn life(&mut self, read_at: Instant, now: Instant) -> Due {
        self.pinged_at = self.pinged_at.filter(|&pinged_at| pinged_at > read_at);
        if let Some(pinged_at) = self.pinged_at {
            return if now < pinged_at + PATIENCE {
                Due::Wait(pinged_at + PATIENCE)
            } else {
                Due::End("the server did not answer a ping")
            };
        }
        let ping_at = read_at.max(self.since) + SILENCE;
        if now < ping_at && !self.is_doubted(read_at) {
            return Due::Wait(ping_at);
        }
        self.pinged_at = Some(now);
        Due::Ping
    }
}

impl Due {
    /// The same, with another look at this time at the latest.
    fn until(self, latest: Instant) -> Self {
        match self {
            Self::Wait(then) => Self::Wait(then.min(latest)),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A link of a connection with these limits, in seconds.
    fn link(idle_timeout: u32, lifetime: u32) -> Link {
        let limits = Limits {
            idle_timeout: SECOND * idle_timeout,
            lifetime: SECOND * lifetime,
        };
        Link::new(Arc::new(Seen::new()), limits)
    }

    /// What is due after so many seconds.
    async fn due_after(link: &Link, seconds: u32) -> Due {
        advance(SECOND * seconds).await;
        link.due(Instant::now())
    }

    #[tokio::test(start_paused = true)]
    async fn a_link_has_so_many_streams_until_it_is_idle_for_too_long() {
        let link = link(15, 300);
        assert!(link.begin_stream(Instant::now(), 2));
        assert!(link.begin_stream(Instant::now(), 2));
        assert!(!link.begin_stream(Instant::now(), 2));
        link.seen.read();
        link.end_stream(None);
        link.end_stream(None);
        assert!(matches!(due_after(&link, 14).await, Due::Wait(_)));
        assert!(link.is_usable(Instant::now()));
        advance(SECOND).await;
        assert!(
            !link.begin_stream(Instant::now(), 2),
            "it is not yet retired"
        );
        assert_eq!(link.due(Instant::now()), Due::Retire);
        assert!(matches!(due_after(&link, 4).await, Due::Wait(_)));
        assert!(matches!(due_after(&link, 1).await, Due::End(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_link_beyond_its_lifetime_waits_for_its_streams() {
        let link = link(15, 60);
        assert!(link.begin_stream(Instant::now(), 2));
        advance(SECOND * 59).await;
        link.seen.read();
        assert_eq!(link.due(Instant::now()), Due::Wait(Instant::now() + SECOND));
        assert_eq!(due_after(&link, 1).await, Due::Retire);
        assert!(!link.begin_stream(Instant::now(), 2));
        for _ in 0..10 {
            link.seen.read();
            assert!(matches!(due_after(&link, 9).await, Due::Wait(_)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_asked_about_and_then_ends_the_connection() {
        let link = link(15, 300);
        assert!(link.begin_stream(Instant::now(), 2));
        assert!(matches!(due_after(&link, 9).await, Due::Wait(_)));
        assert_eq!(due_after(&link, 1).await, Due::Ping);
        advance(SECOND * 4).await;
        link.seen.read();
        assert!(matches!(due_after(&link, 9).await, Due::Wait(_)));
        assert_eq!(due_after(&link, 1).await, Due::Ping);
        assert!(matches!(due_after(&link, 4).await, Due::Wait(_)));
        assert!(matches!(due_after(&link, 1).await, Due::End(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_a_call_gave_up_is_asked_at_once_and_gets_no_streams() {
        let link = link(15, 300);
        for (waited, is_doubted) in [(Duration::from_millis(999), false), (SECOND, true)] {
            let begun_at = Instant::now();
            assert!(link.begin_stream(begun_at, 2));
            advance(waited).await;
            link.end_stream(Some(begun_at));
            assert_eq!(link.is_changed(), is_doubted, "{waited:?}");
        }
        assert!(!link.begin_stream(Instant::now(), 2));
        assert_eq!(link.due(Instant::now()), Due::Ping);
        advance(SECOND).await;
        link.seen.read();
        assert!(link.begin_stream(Instant::now(), 2));
    }
}
