//! Memory for bytes that arrive in bulk: they are read into it once, and never copied after.

use std::cell::RefCell;

use bytes::{Bytes, BytesMut};

/// The size of a block, and so of one read into it, in bytes; 256 KiB.
const BLOCK_BYTES: usize = 256 * 1024;

/// Bounds the blocks of a worker, in use or not; 8. They are allocated when they are first needed. A flow
/// that keeps bytes keeps their block, so this also bounds what slow readers of bodies can hold; without a
/// free block bytes are copied.
const BLOCKS_MAX: usize = 8;

thread_local! {
    static BLOCKS: RefCell<Vec<Bytes>> = const { RefCell::new(Vec::new()) };
}

/// Takes a block that no flow holds bytes of, if there is one.
#[inline(never)]
pub(super) fn take_block() -> Option<BytesMut> {
    BLOCKS.with_borrow_mut(|blocks| match blocks.iter().position(Bytes::is_unique) {
        Some(free) => blocks.swap_remove(free).try_into_mut().ok(),
        None => (blocks.len() < BLOCKS_MAX).then(|| BytesMut::zeroed(BLOCK_BYTES)),
    })
}

/// Returns a block, and its first `used` bytes. The block can be taken again once those are dropped.
pub(super) fn freeze_block(block: BytesMut, used: usize) -> Bytes {
    let block = block.freeze();
    let bytes = block.slice(..used);
    BLOCKS.with_borrow_mut(|blocks| blocks.push(block));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_used_again_when_its_bytes_are_dropped_and_not_before() {
        let mut kept = Vec::new();
        for number in 0..BLOCKS_MAX {
            let mut block = take_block().expect("there are so many");
            block[..5].fill(number as u8);
            kept.push(freeze_block(block, 5));
        }
        assert!(take_block().is_none(), "and no more");
        let place = kept[3].as_ptr();
        assert!(kept.iter().enumerate().all(|(number, bytes)| **bytes == [number as u8; 5]));
        kept.remove(3);
        let block = take_block().expect("one is free");
        assert_eq!((block.as_ptr(), block.len()), (place, BLOCK_BYTES));
        assert!(freeze_block(block, 0).is_empty());
        assert!(take_block().is_some(), "nobody has bytes in it");
    }
}
