//! A device's memory in buffers that are used again, and that come back by themselves.
//!
//! A step asks for the same sizes over and over, and asking the driver may wait for work that is under way. Since all work of a
//! device runs in one order, a buffer may be lent again as soon as its last use has been asked for. Packs of other lengths ask for
//! other sizes; what lies free then is given back as far as all buffers together would pass what was ever lent at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Address, Device, DeviceError, Kind, Span};
use crate::model::ops::pool::{SPARE, excess};

/// Lends buffers of one device's memory. A clone lends from the same memory.
#[derive(Clone)]
pub struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    device: Arc<dyn Device>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    free: Vec<Stretch>,
    /// Bytes that are lent, and the most that ever were.
    lent: usize,
    most: usize,
}

impl Held {
    fn lend(&mut self, stretch: Stretch) {
        self.lent += stretch.bytes;
        self.most = self.most.max(self.lent);
    }
}

impl Shared {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn release(&self, stretches: Vec<Stretch>) {
        for stretch in stretches {
            self.device.release(stretch.at);
        }
    }
}

#[derive(Clone, Copy)]
struct Stretch {
    at: Address,
    bytes: usize,
}

impl Drop for Shared {
    fn drop(&mut self) {
        let free = std::mem::take(&mut self.held().free);
        self.release(free);
    }
}

/// Memory that is lent; dropping it gives it back.
pub struct Buffer {
    pub span: Span,
    stretch: Stretch,
    shared: Arc<Shared>,
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut held = self.shared.held();
        held.lent -= self.stretch.bytes;
        held.free.push(self.stretch);
    }
}

impl Pool {
    /// A pool that has asked for nothing yet.
    #[must_use]
    pub fn new(device: Arc<dyn Device>) -> Self {
        Self { shared: Arc::new(Shared { device, held: Mutex::default() }) }
    }

    /// The device.
    #[must_use]
    pub fn device(&self) -> &dyn Device {
        self.shared.device.as_ref()
    }

    /// A buffer of `len` numbers that hold anything.
    ///
    /// # Errors
    /// [`DeviceError::OutOfMemory`] where neither a free buffer nor the device has room.
    pub fn take(&self, len: usize, kind: Kind) -> Result<Buffer, DeviceError> {
        self.lend(len, kind, true)
    }

    /// A buffer that is to stay: of just the size that is asked for.
    ///
    /// # Errors
    /// See [`take`](Self::take).
    pub fn keep(&self, len: usize, kind: Kind) -> Result<Buffer, DeviceError> {
        self.lend(len, kind, false)
    }

    /// A buffer of zeros.
    ///
    /// # Errors
    /// See [`take`](Self::take).
    pub fn zeros(&self, len: usize, kind: Kind) -> Result<Buffer, DeviceError> {
        let buffer = self.take(len, kind)?;
        self.device().zero(buffer.span.at, buffer.span.bytes())?;
        Ok(buffer)
    }

    /// Sends lists of words over in one piece of memory; where each of them lies.
    ///
    /// # Errors
    /// See [`take`](Self::take); or when the device fails.
    pub fn send<const N: usize>(&self, lists: [&[u32]; N]) -> Result<(Buffer, [Span; N]), DeviceError> {
        let buffer = self.take(lists.iter().map(|list| list.len()).sum(), Kind::U32)?;
        let bytes: Vec<u8> = lists.iter().flat_map(|list| list.iter().flat_map(|word| word.to_le_bytes())).collect();
        self.device().write(buffer.span.at, &bytes)?;
        let mut first = 0;
        let spans = lists.map(|list| {
            first += list.len();
            buffer.span.part(first - list.len(), list.len())
        });
        Ok((buffer, spans))
    }

    fn lend(&self, len: usize, kind: Kind, roomy: bool) -> Result<Buffer, DeviceError> {
        let bytes = (len * kind.bytes()).max(1);
        let size = if roomy { class(bytes) } else { bytes };
        let lent = |stretch: Stretch| Buffer {
            span: Span { at: stretch.at, len, kind },
            stretch,
            shared: Arc::clone(&self.shared),
        };
        let shed = {
            let mut held = self.shared.held();
            let fits = |s: &Stretch| s.bytes >= bytes && s.bytes <= size + size / 4;
            let best =
                (0..held.free.len()).filter(|&i| roomy && fits(&held.free[i])).min_by_key(|&i| held.free[i].bytes);
            if let Some(i) = best {
                let stretch = held.free.swap_remove(i);
                held.lend(stretch);
                return Ok(lent(stretch));
            }
            let Held { free, lent, most } = &mut *held;
            excess(free, |stretch| stretch.bytes, (*lent, *most), size, |most| most / SPARE)
        };
        self.shared.release(shed);
        let asked = self.device().allocate(size);
        let at = match asked {
            Err(DeviceError::OutOfMemory { .. }) => {
                self.shed();
                self.device().allocate(size)?
            }
            other => other?,
        };
        let stretch = Stretch { at, bytes: size };
        self.shared.held().lend(stretch);
        Ok(lent(stretch))
    }

    /// Gives everything that lies free back to the device.
    pub fn shed(&self) {
        let free = std::mem::take(&mut self.shared.held().free);
        self.shared.release(free);
    }
}

/// The size that is asked of the device for `bytes` bytes: sixteen sizes to a doubling.
pub(crate) fn class(bytes: usize) -> usize {
    let step = (bytes.next_power_of_two() / 32).max(512);
    bytes.div_ceil(step) * step
}
