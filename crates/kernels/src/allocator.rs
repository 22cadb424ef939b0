//! What a program that trains should ask of the C library's allocator.

/// Has glibc keep freed memory instead of giving it back to the system; elsewhere it does nothing.
///
/// A training step's tensors of some megabytes each are freed at its end and asked for again in the next one. By default glibc maps
/// and unmaps each of them, and the system clears every page anew: with a loss on every step that costs an LSTM of 64 units more
/// than a tenth of its step. It is a setting of the whole process, so the program decides, not this library. Call it before
/// there are other threads.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        /// The most that glibc accepts on 64 bits.
        const MAPPED_FROM: libc::c_int = 32 << 20;
        const KEPT: libc::c_int = 1 << 30;
        // SAFETY: `mallopt` takes two numbers; what it does not like it refuses.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM);
            libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
        }
    }
}
