//! What is written by hand on the way of every call, alone: its time, and how much it
//! allocates.
//!
//! ```sh
//! cargo bench --bench micro
//! ```

mod callers;
mod statuses;

/// Counts allocations, which say more than times do on a noisy machine.
#[global_allocator]
static ALLOCATIONS: divan::AllocProfiler = divan::AllocProfiler::system();

fn main() {
    divan::main();
}
