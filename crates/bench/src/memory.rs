//! What this process takes of the memory, as Linux counts it; `None` elsewhere.

use std::fs;

/// Bytes in use now, in KiB.
pub fn current() -> Option<u64> {
    field(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

/// The most so far, in KiB, or since [`reset`].
pub fn peak() -> Option<u64> {
    field(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

/// Sets the peak to what is in use now; where the kernel does not allow it, the peak stays that of the whole run.
pub fn reset() {
    // proc(5): 5 resets the peak resident set size.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn fields_are_found_by_name() {
        let status = "VmPeak:\t  9000 kB\nVmHWM:\t    1234 kB\nVmRSS:\t 1000 kB\n";
        assert_eq!((field(status, "VmHWM:"), field(status, "VmRSS:")), (Some(1234), Some(1000)));
        assert_eq!(field(status, "VmSwap:"), None);
    }
}
