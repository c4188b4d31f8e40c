//! The metrics of the process, by the names that Prometheus' client libraries give them.

use std::fmt;

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

/// Resident memory, processor time, file descriptors, threads and the start of the process,
/// read when they are asked for. Only Linux has them.
#[derive(Debug)]
pub struct ProcessMetrics;

impl Collector for ProcessMetrics {
    #[cfg(target_os = "linux")]
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        match linux::read() {
            Ok(state) => linux::encode(&state, encoder),
            Err(error) => {
                tracing::debug!(%error, "cannot read the state of the process");
                Ok(())
            }
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn encode(&self, _: DescriptorEncoder) -> fmt::Result {
        Ok(())
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fmt;

    use procfs::{
        CurrentSI as _, KernelStats, ProcResult,
        process::{LimitValue, Process},
    };
    use prometheus_client::{
        encoding::{DescriptorEncoder, EncodeMetric},
        metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    };

    /// The process, as proc(5) describes it.
    pub(super) struct State {
        cpu_seconds: f64,
        /// The start of the process, since the Unix epoch.
        start_seconds: f64,
        resident_bytes: u64,
        open_files: u64,
        max_files: u64,
        threads: i64,
    }

    #[allow(clippy::cast_precision_loss)]
    pub(super) fn read() -> ProcResult<State> {
        let process = Process::myself()?;
        let stat = process.stat()?;
        let ticks = procfs::ticks_per_second() as f64;
        let booted = KernelStats::current()?.btime as f64;
        Ok(State {
            cpu_seconds: (stat.utime + stat.stime) as f64 / ticks,
            start_seconds: booted + stat.starttime as f64 / ticks,
            resident_bytes: stat.rss * procfs::page_size(),
            open_files: process.fd_count()? as u64,
            max_files: match process.limits()?.max_open_files.soft_limit {
                LimitValue::Value(limit) => limit,
                LimitValue::Unlimited => u64::MAX,
            },
            threads: stat.num_threads,
        })
    }

    pub(super) fn encode(state: &State, mut encoder: DescriptorEncoder) -> fmt::Result {
        use MetricType::{Counter, Gauge};
        let metrics: [(&str, &str, MetricType, &dyn EncodeMetric); 6] = [
            (
                "process_cpu_seconds",
                "Processor time that the process has taken, in user and in system mode",
                Counter,
                &ConstCounter::new(state.cpu_seconds),
            ),
            (
                "process_start_time_seconds",
                "When the process was started, since the Unix epoch",
                Gauge,
                &ConstGauge::new(state.start_seconds),
            ),
            (
                "process_resident_memory_bytes",
                "Memory of the process that is in RAM",
                Gauge,
                &ConstGauge::new(state.resident_bytes),
            ),
            (
                "process_open_fds",
                "File descriptors that the process has open",
                Gauge,
                &ConstGauge::new(state.open_files),
            ),
            (
                "process_max_fds",
                "How many file descriptors the process may have open",
                Gauge,
                &ConstGauge::new(state.max_files),
            ),
            (
                "process_threads",
                "Threads of the process",
                Gauge,
                &ConstGauge::new(state.threads),
            ),
        ];
        for (name, help, kind, metric) in metrics {
            metric.encode(encoder.encode_descriptor(name, help, None, kind)?)?;
        }
        Ok(())
    }
}
