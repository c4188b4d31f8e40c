//! The open connections of a port: how many there may be, and which has to go for another.

use std::{
    collections::{BTreeSet, HashMap},
    mem,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{Arc, atomic::Ordering},
};

use tokio::{
    runtime::Handle,
    task::{Id, JoinSet},
    time::Instant,
};

use super::balance::Balance;
use crate::{
    call::{Stop, Stopping},
    server::{config::Limits, metrics::Full, rpc::usage::Usage},
};

/// How many connections are looked at for one that has to go. Those that are busy are
/// looked at last from then on, so that each connection has its turn.
const LOOKS: usize = 64;

/// The part of the limit on connections that may be on its way out at a time.
const LEAVING_SHARE: usize = 10;

/// The bits of the network of an IPv6 address. A client has all addresses of its network.
const NETWORK: u128 = !(u64::MAX as u128);

/// The open connections.
pub(super) struct Connections {
    limits: Limits,
    tasks: JoinSet<()>,
    open: HashMap<Id, Open>,
    /// When a connection was known to be busy last. It may have been since.
    by_idleness: BTreeSet<(Instant, Id)>,
    by_source: HashMap<IpAddr, usize>,
    /// How many connections were asked to end for another.
    leaving: usize,
}

struct Open {
    source: Option<IpAddr>,
    usage: Arc<Usage>,
    /// The number of its thread.
    thread: usize,
    /// How many calls it had when the threads were measured last.
    calls: u64,
    /// Its time in the order of idleness.
    busy: Instant,
    /// Dropped to tell the connection to go.
    stop: Option<Stop>,
}

/// The place of a connection that may be opened.
#[derive(Clone, Copy)]
pub(super) struct Place {
    source: Option<IpAddr>,
    /// Whether another connection has to go for this one.
    pub(super) displaces: bool,
}

impl Connections {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            tasks: JoinSet::new(),
            open: HashMap::new(),
            by_idleness: BTreeSet::new(),
            by_source: HashMap::new(),
            leaving: 0,
        }
    }

    /// How many connections are open.
    pub(super) fn count(&self) -> usize {
        self.open.len()
    }

    /// Makes room for a connection of an address.
    pub(super) fn make_room(&mut self, address: SocketAddr) -> Result<Place, Full> {
        let source = source(address.ip(), self.limits.loopback_is_limited);
        let of_source = source.and_then(|source| self.by_source.get(&source));
        if of_source.is_some_and(|&count| count >= self.limits.max_connections_per_address) {
            return Err(Full::Address);
        }
        let displaces = self.open.len() - self.leaving >= self.limits.max_connections;
        if displaces && !self.displace() {
            return Err(Full::Server);
        }
        Ok(Place { source, displaces })
    }

    /// Serves a connection, with what `serve` makes of the signal that it has to go.
    pub(super) fn open<F>(
        &mut self,
        place: Place,
        usage: Arc<Usage>,
        (thread, runtime): (usize, &Handle),
        serve: impl FnOnce(Stopping) -> F,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let (stop, stopping) = Stop::new();
        let id = self.tasks.spawn_on(serve(stopping), runtime).id();
        let busy = Instant::now();
        self.by_idleness.insert((busy, id));
        if let Some(source) = place.source {
            *self.by_source.entry(source).or_default() += 1;
        }
        let open = Open {
            source: place.source,
            usage,
            thread,
            calls: 0,
            busy,
            stop: Some(stop),
        };
        self.open.insert(id, open);
    }

    /// Completes when a connection has ended. `None` if there is none. Dropping the future
    /// loses no connection.
    pub(super) async fn ended(&mut self) -> Option<()> {
        let id = match self.tasks.join_next_with_id().await? {
            Ok((id, ())) => id,
            Err(error) => error.id(),
        };
        let Some(open) = self.open.remove(&id) else {
            return Some(());
        };
        self.by_idleness.remove(&(open.busy, id));
        if open.stop.is_none() {
            self.leaving -= 1;
        }
        if let Some(source) = open.source
            && let Some(count) = self.by_source.get_mut(&source)
        {
            *count -= 1;
            if *count == 0 {
                self.by_source.remove(&source);
            }
        }
        Some(())
    }

    /// Tells a connection to come back whose thread is busy while another is not, if there is
    /// such a thread, and tells that to `balance`. Returns whether there was one.
    pub(super) fn relieve(&mut self, balance: &mut Balance) -> bool {
        let Some(crowded) = balance.crowded() else {
            return false;
        };
        let of_thread = self.open.iter_mut();
        let of_thread =
            of_thread.filter(|(_, it)| it.thread == crowded.thread && it.stop.is_some());
        let calls = of_thread.map(|(id, open)| {
            let before = mem::replace(&mut open.calls, open.usage.calls.begun());
            (*id, open.calls - before)
        });
        // Those of all are counted, whether one of them goes or not.
        let calls: Vec<_> = calls.collect();
        let chosen = crowded.is_due.then(|| crowded.choose(calls)).flatten();
        let Some((id, open)) = chosen.and_then(|id| Some((id, self.open.get_mut(&id)?))) else {
            return false;
        };
        open.usage.is_moved.store(true, Ordering::Relaxed);
        open.stop = None;
        self.by_idleness.remove(&(open.busy, id));
        self.leaving += 1;
        balance.moved();
        true
    }

    /// Tells the connection to go that has been without a call of a caller for longest.
    fn displace(&mut self) -> bool {
        if self.leaving >= self.limits.max_connections.div_ceil(LEAVING_SHARE) {
            return false;
        }
        let now = Instant::now();
        for _ in 0..LOOKS {
            // The times are no later than the true ones, so the first whose time is true
            // is the first of all.
            let first = self.by_idleness.first().copied();
            let Some((busy, id)) = first.filter(|&(busy, _)| busy < now) else {
                return false;
            };
            self.by_idleness.remove(&(busy, id));
            let Some(open) = self.open.get_mut(&id) else {
                continue;
            };
            let idle_since = open.usage.calls_of_callers.idle_since();
            open.busy = idle_since.unwrap_or(now).max(busy);
            if idle_since.is_some() && open.busy == busy {
                open.stop = None;
                self.leaving += 1;
                return true;
            }
            self.by_idleness.insert((open.busy, id));
        }
        false
    }
}

/// What the connections of an address are counted by. `None` if they are not.
fn source(address: IpAddr, loopback_is_limited: bool) -> Option<IpAddr> {
    let address = address.to_canonical();
    if address.is_loopback() && !loopback_is_limited {
        return None;
    }
    Some(match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & NETWORK).into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_counted_by_address_or_network() {
        for (address, expected) in [
            ("192.0.2.7", Some("192.0.2.7")),
            ("::ffff:192.0.2.7", Some("192.0.2.7")),
            ("2001:db8:1:2:3:4:5:6", Some("2001:db8:1:2::")),
            ("127.0.0.1", None),
            ("::1", None),
            ("::ffff:127.0.0.1", None),
        ] {
            let expected = expected.map(|source: &str| source.parse::<IpAddr>().unwrap());
            let address = address.parse().unwrap();
            assert_eq!(source(address, false), expected);
            assert!(source(address, true).is_some());
        }
    }
}
