//! File descriptors, of which each connection takes one: what the connections of a port may
//! take of those that the process may have. What is left over is for calls to Mesibo, for
//! files, and for the metrics port, which has a small limit of its own.

use rlimit::Resource;

/// Most connections of probes. They ask, and go.
const MAX_PROBES: usize = 256;

/// How many files the process may have open. A system without such a limit has no end of
/// them.
pub(in crate::server) fn limit() -> usize {
    let (limit, _) = Resource::NOFILE.get().unwrap_or((u64::MAX, u64::MAX));
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// How many connections the gRPC port may have, of `wanted`: three quarters of the
/// descriptors at the most.
pub(in crate::server) fn of_clients(wanted: usize, limit: usize) -> usize {
    wanted.min(limit - limit / 4).max(1)
}

/// How many connections the port for health may have: a sixteenth of the descriptors at the
/// most.
pub(in crate::server) fn of_probes(limit: usize) -> usize {
    (limit / 16).clamp(1, MAX_PROBES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_the_rest() {
        for (limit, clients, probes) in [
            (0, 1, 1),
            (40, 30, 2),
            (1024, 768, 64),
            (16_384, 10_000, 256),
            (usize::MAX, 10_000, 256),
        ] {
            assert_eq!(of_clients(10_000, limit), clients);
            assert_eq!(of_probes(limit), probes);
        }
        assert_eq!(of_clients(7, 1024), 7);
    }
}
