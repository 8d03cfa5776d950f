//! Memory for bytes that come in bulk: read into it once, and never copied after.

use std::cell::RefCell;

use bytes::{Bytes, BytesMut};

/// What one read into a block takes in at most.
const BLOCK_BYTES: usize = 256 * 1024;

/// So many blocks a worker has at most, in use or not; made when they are first wanted. Whoever keeps bytes keeps the
/// block they are in, so this is also what slow readers of bodies can hold; without a block bytes are copied.
const BLOCKS_MAX: usize = 8;

thread_local! {
    static BLOCKS: RefCell<Vec<Bytes>> = const { RefCell::new(Vec::new()) };
}

/// A block in which nobody has bytes; none if there is none.
#[inline(never)]
pub(super) fn take_block() -> Option<BytesMut> {
    BLOCKS.with_borrow_mut(|blocks| match blocks.iter().position(Bytes::is_unique) {
        Some(free) => blocks.swap_remove(free).try_into_mut().ok(),
        None => (blocks.len() < BLOCKS_MAX).then(|| BytesMut::zeroed(BLOCK_BYTES)),
    })
}

/// Gives a block back, and says what its first `used` bytes are: it can be taken again once they are dropped.
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
