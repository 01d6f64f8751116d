//! Memory for the length of a call: each thread keeps what it was once given.
//!
//! Kernels need room for packed operands and scores, thousands of times a step. Asking the system each time costs more than the
//! memory is worth; what a thread keeps is as large as its largest call: a megabyte or two, and more where attention is over
//! thousands of tokens, or where 256 rows of a large model's inputs are multiplied with codes (two and a quarter bytes each).

use std::cell::RefCell;

use super::pages::LINE;

thread_local! {
    /// One buffer for each depth of calls within calls, the outermost last.
    static FREE: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Lends `len` floats that hold anything, aligned to a line of the cache: no vector lies across two.
pub fn with<R>(len: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut buffer = FREE.with_borrow_mut(Vec::pop).unwrap_or_default();
    let room = len + LINE / size_of::<f32>();
    if buffer.len() < room {
        buffer.resize(room, 0.0);
    }
    let first = buffer.as_ptr().align_offset(LINE).min(room - len);
    let found = work(&mut buffer[first..first + len]);
    FREE.with_borrow_mut(|free| free.push(buffer));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_within_calls_have_room_of_their_own_and_later_ones_the_same() {
        let run = || {
            with(1000, |outer| {
                outer.fill(1.0);
                let inner = with(5000, |inner| {
                    inner.fill(2.0);
                    inner.as_ptr() as usize
                });
                assert!(outer.len() == 1000 && outer.iter().all(|&x| x < 1.5));
                (outer.as_ptr() as usize, inner)
            })
        };
        let (outer, inner) = run();
        assert!(outer.is_multiple_of(LINE) && inner.is_multiple_of(LINE));
        assert_eq!(run(), (outer, inner));
    }
}
