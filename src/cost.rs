//! The memory that values take, which for small ones is many times the length of their texts.
//!
//! The limits in [`limits`](crate::limits) on bytes held in memory mean these figures. The constants follow from the
//! layout of blocks in glibc's allocator on 64-bit systems.

/// An allocation of `bytes`: the allocator adds a header of 8 bytes and rounds up to multiples of 16, at least 32.
pub const fn block(bytes: usize) -> usize {
    let rounded = (bytes + HEADER_BYTES).next_multiple_of(GRAIN_BYTES);
    if rounded < BLOCK_BYTES_MIN { BLOCK_BYTES_MIN } else { rounded }
}

/// A shared text of `bytes`, such as [`Json`](crate::json::Json), with its two counters.
pub const fn text(bytes: usize) -> usize {
    block(COUNTERS_BYTES + bytes)
}

/// A boxed or shared `T`.
pub const fn boxed<T>() -> usize {
    block(COUNTERS_BYTES + size_of::<T>())
}

/// `T`s in a vector that grows by doubling, of which a quarter is unused on average.
pub const fn elements<T>(count: usize) -> usize {
    count * size_of::<T>() * 4 / 3
}

/// `T`s in a set, or the keys of a map: a tree of nodes with room for eleven, of which two thirds are used.
pub const fn tree<T>(count: usize) -> usize {
    let (entries, node) = (count * size_of::<T>() * 3 / 2, block(11 * size_of::<T>() + GRAIN_BYTES));
    match count {
        0 => 0,
        _ if entries < node => node,
        _ => entries,
    }
}

const HEADER_BYTES: usize = 8;
const GRAIN_BYTES: usize = 16;
const BLOCK_BYTES_MIN: usize = 32;
const COUNTERS_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_blocks_cost_more_than_they_hold() {
        assert_eq!([0, 24, 25, 40, 41, 1_000].map(block), [32, 32, 48, 48, 64, 1_008]);
        assert_eq!([0, 1, 8, 9].map(text), [32, 32, 32, 48]);
    }
}
