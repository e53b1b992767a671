//! Which cores belong to whom, and what was used of them.
//!
//! The server under test has the first half of the cores that this process may use; what asks it and what
//! it asks have the rest, so that neither takes the other's time. What they use is counted by the kernel:
//! per process from `/proc/PID/stat`, per core from `/proc/stat`, both in ticks of some 10 ms.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::process::Command;
use std::str::FromStr;

use anyhow::{Context as _, ensure};

/// The two halves.
#[derive(Clone, Debug)]
pub(crate) struct Cores {
    pub(crate) server: Half,
    pub(crate) generator: Half,
}

/// Some cores, by their numbers.
#[derive(Clone, Debug)]
pub(crate) struct Half(Vec<usize>);

/// Ticks that cores had, in all and without work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticks {
    all: u64,
    idle: u64,
}

// === impl Cores ===

impl Cores {
    pub(crate) fn halves() -> anyhow::Result<Self> {
        let status = fs::read_to_string("/proc/self/status")?;
        let list = status
            .lines()
            .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
            .context("the kernel does not say which cores this may use")?;
        let all = numbers(list.trim())?;
        ensure!(all.len() > 1, "one core is not enough for two sides");
        let (server, generator) = all.split_at(all.len() / 2);
        Ok(Self {
            server: Half(server.to_vec()),
            generator: Half(generator.to_vec()),
        })
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |half: &Half| match half.count() {
            1 => format!("core {}", half.list()),
            _ => format!("cores {}", half.list()),
        };
        write!(
            f,
            "the server on {}, what asks it and what it asks on {}",
            name(&self.server),
            name(&self.generator)
        )
    }
}

// === impl Half ===

impl Half {
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Their numbers, as `taskset` reads them.
    pub(crate) fn list(&self) -> String {
        let numbers: Vec<String> = self.0.iter().map(usize::to_string).collect();
        numbers.join(",")
    }

    /// A command that runs on these alone, under its own process number.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("taskset");
        command.args(["-c", &self.list()]).arg(program);
        command
    }

    pub(crate) fn ticks(&self) -> anyhow::Result<Ticks> {
        let stat = fs::read_to_string("/proc/stat")?;
        let mut ticks = Ticks { all: 0, idle: 0 };
        for core in &self.0 {
            let name = format!("cpu{core} ");
            let line = stat.lines().find_map(|line| line.strip_prefix(&name));
            let times: Vec<u64> = line
                .context("the kernel does not count this core")?
                .split_whitespace()
                // user, nice, system, idle, iowait, irq, softirq, steal; guests are in user.
                .take(8)
                .map(u64::from_str)
                .collect::<Result<_, _>>()?;
            ticks.all += times.iter().sum::<u64>();
            ticks.idle += times[3] + times[4];
        }
        Ok(ticks)
    }
}

// === impl Ticks ===

impl Ticks {
    /// The share of the time since `earlier` in which there was nothing to do.
    pub(crate) fn idle_since(self, earlier: Self) -> f64 {
        let all = (self.all - earlier.all).max(1);
        (self.idle - earlier.idle) as f64 / all as f64
    }
}

/// Seconds of processor time that a process and all below it have had.
pub(crate) fn seconds(root: u32) -> anyhow::Result<f64> {
    let mut parents = HashMap::new();
    let mut ticks = HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // Others may end meanwhile.
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
            continue;
        };
        // The program's name stands in parentheses and may have some itself.
        let (_, rest) = stat.rsplit_once(") ").context("no name in a stat")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        parents.insert(pid, fields[1].parse::<u32>()?);
        ticks.insert(pid, fields[11].parse::<u64>()? + fields[12].parse::<u64>()?);
    }
    let is_below = |mut pid: u32| {
        while pid != root {
            match parents.get(&pid) {
                Some(parent) => pid = *parent,
                None => return false,
            }
        }
        true
    };
    ensure!(ticks.contains_key(&root), "the server is gone");
    let sum: u64 = (ticks.iter())
        .filter(|(pid, _)| is_below(**pid))
        .map(|(_, ticks)| ticks)
        .sum();
    Ok(sum as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// ` (NAME)` of the cores, where the kernel knows it.
pub(crate) fn model() -> anyhow::Result<String> {
    let cores = fs::read_to_string("/proc/cpuinfo")?;
    let line = cores.lines().find(|line| line.starts_with("model name"));
    let name = line.and_then(|line| line.split_once(": "));
    Ok(name.map_or_else(String::new, |(_, name)| format!(" ({name})")))
}

// As the kernel writes them: `0-3,8`.
fn numbers(list: &str) -> anyhow::Result<Vec<usize>> {
    let mut numbers = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        numbers.extend(first.parse()?..=last.parse::<usize>()?);
    }
    Ok(numbers)
}
