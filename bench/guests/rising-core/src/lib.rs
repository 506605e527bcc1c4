//! The rule `rising` as a core module: the host writes a batch where `alloc` says, and reads effects where `handle` says.

use std::cell::RefCell;

thread_local! {
    static BATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static EFFECTS: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Where a batch of this length goes, until the next call.
#[unsafe(no_mangle)]
pub extern "C" fn alloc(length: usize) -> *mut u8 {
    BATCH.with_borrow_mut(|batch| {
        batch.resize(length, 0);
        batch.as_mut_ptr()
    })
}

/// The address of the effects and, in the lower half, their length. Traps if the batch is not well-formed.
#[unsafe(no_mangle)]
pub extern "C" fn handle(batch: *const u8, length: usize) -> u64 {
    // SAFETY: the host passes what `alloc` gave it.
    let batch = unsafe { std::slice::from_raw_parts(batch, length) };
    EFFECTS.with_borrow_mut(|effects| {
        flat::handle(batch, effects).expect("a batch");
        (effects.as_ptr() as u64) << 32 | effects.len() as u64
    })
}
