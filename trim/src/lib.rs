//! Returns memory that a program has freed to the system, and keeps glibc from deferring work that this involves.
//!
//! glibc retains what a thread frees in that thread's arena as long as the process lives: a server that once had large
//! bodies stays large. Its `malloc_trim(3)` releases every page that is entirely free, of all arenas. No widely used
//! crate offers it as a safe function, so it is here, apart from `steprill` itself, which forbids unsafe code.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc {
    // SAFETY: as in <malloc.h>, `int malloc_trim(size_t)`. It takes no pointer, and may be called at any time, from any
    // thread (malloc_trim(3): MT-Safe).
    unsafe extern "C" {
        pub(super) safe fn malloc_trim(pad: usize) -> i32;
    }

    // SAFETY: as in <malloc.h>, `int mallopt(int, int)`. It takes no pointer. It locks the main arena and stores one
    // number, which allocations read.
    unsafe extern "C" {
        pub(super) safe fn mallopt(parameter: i32, value: i32) -> i32;
    }

    /// `M_MXFAST` of <malloc.h>.
    pub(super) const MAX_FAST: i32 = 1;
}

/// Makes glibc merge small blocks with their neighbours when they are freed, as it does with large ones. By default it
/// defers that and merges all at once when it next needs a larger block: after 100,000 were freed, that takes 10 ms. To
/// be called when a program begins. Does nothing where the C library is not glibc.
pub fn join_at_once() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::mallopt(glibc::MAX_FAST, 0);
}

/// Releases free memory to the system. Returns whether there was any. Other threads that allocate in the meantime may
/// wait for some milliseconds. Does nothing where the C library is not glibc: others release memory by themselves.
pub fn give_back() -> bool {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    return glibc::malloc_trim(0) != 0;
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    false
}

#[cfg(test)]
mod tests {
    #[test]
    fn both_may_be_called_at_any_time() {
        super::join_at_once();
        drop(vec![7_u8; 1 << 20]);
        super::give_back();
        super::give_back();
    }
}
