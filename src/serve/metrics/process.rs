//! What the process takes of its machine, under the names that all clients of Prometheus use. Linux tells it in `/proc`;
//! elsewhere there is nothing to tell.

use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::Unit;

/// Ticks of a second in `/proc`, on every Linux (`USER_HZ`).
const TICKS: f64 = 100.0;

/// Reads at each scrape.
#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Some(seen) = Seen::now() else { return Ok(()) };
        let mut tell = |name: &str, help: &str, unit: Option<Unit>, metric: &dyn Told| {
            metric.tell(encoder.encode_descriptor(name, help, unit.as_ref(), metric.kind())?)
        };
        let (seconds, bytes) = (|| Some(Unit::Seconds), || Some(Unit::Bytes));
        tell(
            "process_cpu",
            "Processor time of user and system",
            seconds(),
            &ConstCounter::new(seen.cpu_seconds),
        )?;
        tell(
            "process_start_time",
            "When the process began, in Unix time",
            seconds(),
            &ConstGauge::new(seen.began),
        )?;
        tell("process_resident_memory", "Memory in use", bytes(), &ConstGauge::new(seen.resident_bytes))?;
        tell(
            "process_virtual_memory",
            "Memory that is mapped",
            bytes(),
            &ConstGauge::new(seen.virtual_bytes),
        )?;
        tell("process_open_fds", "Open files and sockets", None, &ConstGauge::new(seen.open_fds))?;
        tell("process_max_fds", "Most open files and sockets", None, &ConstGauge::new(seen.max_fds))?;
        tell("process_threads", "Threads", None, &ConstGauge::new(seen.threads))
    }
}

/// A metric of whatever type.
trait Told {
    fn kind(&self) -> MetricType;
    fn tell(&self, encoder: prometheus_client::encoding::MetricEncoder<'_>) -> Result<(), std::fmt::Error>;
}

impl<M: EncodeMetric + TypedMetric> Told for M {
    fn kind(&self) -> MetricType {
        M::TYPE
    }

    fn tell(&self, encoder: prometheus_client::encoding::MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.encode(encoder)
    }
}

struct Seen {
    cpu_seconds: f64,
    began: f64,
    resident_bytes: i64,
    virtual_bytes: i64,
    open_fds: i64,
    max_fds: i64,
    threads: i64,
}

impl Seen {
    fn now() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // The name of the program stands in parentheses and may hold anything.
        let (_, fields) = stat.rsplit_once(") ")?;
        let fields: Vec<&str> = fields.split(' ').collect();
        // proc(5) counts from 1 and begins with two that are cut off here.
        let ticks = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let whole = fs::read_to_string("/proc/stat").ok()?;
        let limits = fs::read_to_string("/proc/self/limits").ok()?;
        let booted: f64 = after(&whole, "btime ")?.parse().ok()?;
        Some(Self {
            cpu_seconds: (ticks(14)? + ticks(15)?) / TICKS,
            began: booted + ticks(22)? / TICKS,
            resident_bytes: after(&status, "VmRSS:")?.parse::<i64>().ok()? * 1024,
            virtual_bytes: after(&status, "VmSize:")?.parse::<i64>().ok()? * 1024,
            open_fds: i64::try_from(fs::read_dir("/proc/self/fd").ok()?.count()).ok()?,
            // `unlimited` is more than anyone opens.
            max_fds: after(&limits, "Max open files")?.parse().unwrap_or(i64::MAX),
            threads: after(&status, "Threads:")?.parse().ok()?,
        })
    }
}

/// The first word behind the name that a line begins with.
fn after<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_sees_itself() {
        let seen = Seen::now().unwrap();
        assert!(seen.resident_bytes > 1 << 20 && seen.virtual_bytes > seen.resident_bytes);
        assert!(seen.open_fds >= 3 && seen.max_fds >= seen.open_fds && seen.threads >= 1);
        let now = chrono::Utc::now().timestamp() as f64;
        assert!(seen.began <= now + 1.0 && seen.began > now - 86_400.0, "{}", seen.began);
    }
}
