//! What the system says of this process, under the names that every exporter has for it.
//!
//! Read from `/proc` when somebody asks; what cannot be read is left out rather than told as 0.

use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Process;

/// What one line of `/proc/self/stat` tells.
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_seconds: f64,
    started_after_boot: f64,
    resident_bytes: u64,
}

// === impl Process ===

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let mut gauge = |name, help, value: Option<f64>| {
            let Some(value) = value else { return Ok(()) };
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
        };
        let stat = Stat::read();
        let started = stat.as_ref().and_then(started);
        gauge(
            "process_start_time_seconds",
            "When the process started, since 1970",
            started,
        )?;
        gauge(
            "process_resident_memory_bytes",
            "Memory of the process",
            stat.as_ref().map(|stat| stat.resident_bytes as f64),
        )?;
        gauge("process_open_fds", "Open file descriptors", open_files())?;
        gauge(
            "process_max_fds",
            "Open file descriptors that the system allows",
            getrlimit(Resource::Nofile).current.map(|most| most as f64),
        )?;
        let Some(stat) = stat else { return Ok(()) };
        let cpu = ConstCounter::new(stat.cpu_seconds);
        let help = "Time of the processors";
        cpu.encode(encoder.encode_descriptor(
            "process_cpu_seconds",
            help,
            None,
            cpu.metric_type(),
        )?)
    }
}

fn open_files() -> Option<f64> {
    // One is the directory itself, while it is read.
    let open = fs::read_dir("/proc/self/fd").ok()?.count();
    Some(open.saturating_sub(1) as f64)
}

fn started(stat: &Stat) -> Option<f64> {
    let boot = fs::read_to_string("/proc/stat").ok()?;
    let boot = boot.lines().find_map(|line| line.strip_prefix("btime "))?;
    Some(boot.trim().parse::<f64>().ok()? + stat.started_after_boot)
}

// === impl Stat ===

impl Stat {
    fn read() -> Option<Self> {
        let line = fs::read_to_string("/proc/self/stat").ok()?;
        Self::parse(&line, clock_ticks_per_second(), page_size() as u64)
    }

    fn parse(line: &str, ticks: u64, page: u64) -> Option<Self> {
        // The name of the program comes second, in parentheses, and may hold some itself.
        let (_, rest) = line.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        // `man proc_pid_stat` counts from 1 and from the number before the name.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let seconds = |number| Some(field(number)? as f64 / ticks as f64);
        Some(Self {
            cpu_seconds: seconds(14)? + seconds(15)?,
            started_after_boot: seconds(22)?,
            resident_bytes: field(24)? * page,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_moves_no_field() {
        let line = "4242 (a (b) c) S 1 4242 4242 0 -1 4194560 2563 0 0 0 \
                    150 50 0 0 20 0 3 0 60000 269701120 2000 18446744073709551615 1 1";
        let stat = Stat {
            cpu_seconds: 2.0,
            started_after_boot: 600.0,
            resident_bytes: 2000 * 4096,
        };
        assert_eq!(Stat::parse(line, 100, 4096), Some(stat));
        assert_eq!(Stat::parse("4242 (a) S 1", 100, 4096), None);
    }
}
