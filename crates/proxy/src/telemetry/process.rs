//! What the system knows of this process, under the names that Prometheus' client libraries use.

use std::fs;

/// Clock ticks a second in /proc: 100 in the Linux ABI of every platform that Rust has a standard library for.
const TICKS: f64 = 100.0;

/// One look at the process. `None` where the system does not tell (anything but Linux).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Process {
    /// User and system time.
    pub cpu_seconds: Option<f64>,
    /// Bytes in memory.
    pub resident_bytes: Option<u64>,
    /// Bytes of address space.
    pub virtual_bytes: Option<u64>,
    /// Open file descriptors.
    pub open_fds: Option<u64>,
    /// How many there may be.
    pub max_fds: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
    /// Unix time of its start.
    pub start_seconds: Option<f64>,
}

impl Process {
    /// Looks now. Reads a few files of /proc: not for a worker.
    pub fn look() -> Self {
        let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
        let open_fds = fs::read_dir("/proc/self/fd").ok().map(Iterator::count);
        Self {
            // One of them is the directory that was just read.
            open_fds: open_fds.and_then(|count| u64::try_from(count.saturating_sub(1)).ok()),
            ..Self::parse(
                &read("/proc/self/stat"),
                &read("/proc/self/status"),
                &read("/proc/self/limits"),
                &read("/proc/stat"),
            )
        }
    }

    fn parse(stat: &str, status: &str, limits: &str, system: &str) -> Self {
        // The command stands in parentheses and may hold spaces and parentheses itself; field 3 follows the last one.
        let after_command = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let field =
            |number: usize| after_command.split_ascii_whitespace().nth(number.saturating_sub(3))?.parse::<f64>().ok();
        let kilobytes = |key: &str| Some(value_of(status, key)?.parse::<u64>().ok()? * 1_024);
        let boot = value_of(system, "btime").and_then(|text| text.parse::<f64>().ok());
        Self {
            cpu_seconds: field(14).zip(field(15)).map(|(user, kernel)| (user + kernel) / TICKS),
            resident_bytes: kilobytes("VmRSS:"),
            virtual_bytes: kilobytes("VmSize:"),
            open_fds: None,
            max_fds: value_of(limits, "Max open files").and_then(|text| text.parse().ok()),
            threads: value_of(status, "Threads:").and_then(|text| text.parse().ok()),
            start_seconds: boot.zip(field(22)).map(|(boot, ticks)| boot + ticks / TICKS),
        }
    }
}

/// The first word after `key` on the line that starts with it.
fn value_of<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(key))?.split_ascii_whitespace().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_a_command_with_spaces_and_parentheses() {
        let stat = "7 (way) post (x) S 1 7 7 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 5 0 1000 1 1 18446744073709551615";
        let status = "Name:\tx\nVmSize:\t  2000 kB\nVmRSS:\t   10 kB\nThreads:\t5\n";
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max open files            1024                 4096                 files\n";

        let process = Process::parse(stat, status, limits, "cpu 1 2\nbtime 1700000000\n");

        let wanted = Process {
            cpu_seconds: Some(2.0),
            resident_bytes: Some(10_240),
            virtual_bytes: Some(2_048_000),
            open_fds: None,
            max_fds: Some(1_024),
            threads: Some(5),
            start_seconds: Some(1_700_000_010.0),
        };
        assert_eq!(process, wanted);
    }

    #[test]
    fn a_system_without_proc_tells_nothing() {
        assert_eq!(Process::parse("", "", "", ""), Process::default());
    }
}
