//! Buffers that are used again: a training step, and a step of answers, asks for the same sizes over and over.
//!
//! A buffer is handed out for a request only where it is not much larger, since what a block keeps for its backward is kept for
//! long: a large buffer under a small request would be memory that nobody uses. Packs of other lengths ask for other sizes;
//! what lies free then is given back to the system as far as all buffers together would pass what was ever needed at once.

use super::pages;

/// Freed buffers, by no order in particular.
#[derive(Debug)]
pub struct Pool {
    free: Vec<Vec<f32>>,
    /// Floats that are lent out, and the most that ever were.
    lent: usize,
    most: usize,
    /// See [`SPARE`].
    spare: usize,
}

impl Default for Pool {
    /// A pool for work that keeps most of what it takes until its end, as a training step does.
    fn default() -> Self {
        Self { free: Vec::new(), lent: 0, most: 0, spare: SPARE }
    }
}

impl Pool {
    /// A pool for work that gives all back soon and takes it in many sizes, as answers do: as much as was ever needed at once may
    /// lie free besides.
    #[must_use]
    pub fn passing() -> Self {
        Self { spare: 1, ..Self::default() }
    }

    /// A buffer of `len` floats that hold anything.
    #[must_use]
    pub fn take(&mut self, len: usize) -> Vec<f32> {
        let fits = |buffer: &Vec<f32>| buffer.capacity() >= len && buffer.capacity() <= roomy(len);
        let best = (0..self.free.len()).filter(|&i| fits(&self.free[i])).min_by_key(|&i| self.free[i].capacity());
        let mut buffer = if let Some(i) = best {
            self.free.swap_remove(i)
        } else {
            let room = class(len);
            let slack = |most: usize| (most / self.spare).max(LEAST);
            drop(excess(&mut self.free, Vec::capacity, (self.lent, self.most), room, slack));
            pages::zeros(room)
        };
        self.lent += buffer.capacity();
        self.most = self.most.max(self.lent);
        if buffer.len() < len {
            buffer.resize(len, 0.0);
        } else {
            buffer.truncate(len);
        }
        buffer
    }

    /// A buffer of `len` zeros.
    #[must_use]
    pub fn zeros(&mut self, len: usize) -> Vec<f32> {
        let mut buffer = self.take(len);
        buffer.fill(0.0);
        buffer
    }

    /// Gives a buffer back.
    pub fn give(&mut self, buffer: Vec<f32>) {
        if buffer.capacity() > 0 {
            self.lent = self.lent.saturating_sub(buffer.capacity());
            self.free.push(buffer);
        }
    }
}

/// Of what was ever needed at once, a share of one in so many may lie free besides: with none at all, buffers of two sizes would
/// take turns in pushing each other out at every step.
pub(crate) const SPARE: usize = 16;

/// Floats that may lie free besides wherever a share is less, as with a small model, whose few buffers differ by more than it.
const LEAST: usize = 1 << 20;

/// Takes out of `free` what is to be given back, the largest first, so that `more` fits under what was ever needed and a little:
/// what is lent now, and the most that ever was, in the unit of `size`. `slack` tells how much a little is of the most.
pub(crate) fn excess<T>(
    free: &mut Vec<T>,
    size: impl Fn(&T) -> usize,
    (lent, most): (usize, usize),
    more: usize,
    slack: impl Fn(usize) -> usize,
) -> Vec<T> {
    let most = most.max(lent + more);
    let most = most + slack(most);
    let mut held = lent + more + free.iter().map(&size).sum::<usize>();
    let mut given = Vec::new();
    while held > most
        && let Some(largest) = (0..free.len()).max_by_key(|&i| size(&free[i]))
    {
        let buffer = free.swap_remove(largest);
        held -= size(&buffer);
        given.push(buffer);
    }
    given
}

/// The size that is asked of the system for `len` floats: eight sizes to a doubling, so that packs of nearly one length use the
/// same buffers.
fn class(len: usize) -> usize {
    let step = (len.next_power_of_two() / 16).max(64);
    len.div_ceil(step) * step
}

/// The largest buffer that a request of `len` floats is given.
fn roomy(len: usize) -> usize {
    len + len / 4 + 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(pool: &Pool) -> usize {
        pool.lent + pool.free.iter().map(Vec::capacity).sum::<usize>()
    }

    #[test]
    fn a_step_like_the_one_before_it_asks_the_system_for_nothing() {
        let mut pool = Pool::default();
        let sizes = [100_000, 700_000, 30_000, 700_000, 100_000];
        let step = |pool: &mut Pool, longer: usize| -> Vec<*const f32> {
            let taken: Vec<Vec<f32>> = sizes.iter().map(|size| pool.take(size + longer)).collect();
            let places = taken.iter().map(Vec::as_ptr).collect();
            for buffer in taken {
                pool.give(buffer);
            }
            places
        };
        let mut first = step(&mut pool, 0);
        let mut second = step(&mut pool, 500);
        first.sort_unstable();
        second.sort_unstable();
        assert_eq!(first, second);
    }

    #[test]
    fn work_that_gives_back_soon_asks_the_system_for_nothing_either() {
        // As a layer of a decoder: few at once, of many sizes. What the system gives is zeros.
        let layer = |pool: &mut Pool| -> bool {
            let (mut known, mut held) = (true, Vec::new());
            for size in [73_728, 122_880, 73_728, 393_216, 196_608, 73_728] {
                let mut buffer = pool.take(size);
                known &= buffer[0] > 0.0;
                buffer[0] = 1.0;
                held.push(buffer);
                if held.len() > 2 {
                    pool.give(held.remove(0));
                }
            }
            for buffer in held {
                pool.give(buffer);
            }
            known
        };
        // A training step of a small model is no more than this.
        for mut pool in [Pool::passing(), Pool::default()] {
            assert!(!layer(&mut pool), "there was nothing to be used again");
            layer(&mut pool);
            assert!((0..3).all(|_| layer(&mut pool)));
        }
    }

    #[test]
    fn packs_of_many_lengths_take_no_more_than_the_longest_needs() {
        let mut pool = Pool::default();
        for rows in [2048, 512, 1900, 64, 1024, 2048, 300, 1500, 2000, 700] {
            // What is kept for the backward is lent all the while; the rest comes and goes.
            let mut kept = Vec::new();
            for _ in 0..18 {
                for width in [640, 1536, 1024, 640, 4096] {
                    kept.push(pool.take(rows * width));
                }
                let passing = [pool.take(rows * 2048), pool.take(rows * 640)];
                for buffer in passing {
                    pool.give(buffer);
                }
            }
            for buffer in kept {
                pool.give(buffer);
            }
        }
        let needed = 2048 * (18 * (640 + 1536 + 1024 + 640 + 4096) + 2048 + 640);
        assert!(held(&pool) < needed + needed / 6, "{} of {needed}", held(&pool));
    }
}
