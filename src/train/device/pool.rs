//! A device's memory in buffers that are used again, and that come back by themselves.
//!
//! A step asks for the same sizes over and over, and asking the driver may wait for work that is under way. Since all work of a
//! device runs in one order, a buffer may be lent again as soon as its last use has been asked for.

use std::sync::{Arc, Mutex, PoisonError};

use crate::model::device::{Address, Device, DeviceError, Kind, Span};

/// Lends buffers of one device's memory. A clone lends from the same memory.
#[derive(Clone)]
pub struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    device: Arc<dyn Device>,
    free: Mutex<Vec<Stretch>>,
}

#[derive(Clone, Copy)]
struct Stretch {
    at: Address,
    bytes: usize,
}

impl Drop for Shared {
    fn drop(&mut self) {
        for stretch in self.free.get_mut().unwrap_or_else(PoisonError::into_inner).drain(..) {
            self.device.release(stretch.at);
        }
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
        self.shared.free.lock().unwrap_or_else(PoisonError::into_inner).push(self.stretch);
    }
}

impl Pool {
    /// A pool that has asked for nothing yet.
    #[must_use]
    pub fn new(device: Arc<dyn Device>) -> Self {
        Self { shared: Arc::new(Shared { device, free: Mutex::new(Vec::new()) }) }
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

    fn lend(&self, len: usize, kind: Kind, roomy: bool) -> Result<Buffer, DeviceError> {
        let bytes = (len * kind.bytes()).max(1);
        let size = if roomy { class(bytes) } else { bytes };
        let lent = |stretch: Stretch| Buffer {
            span: Span { at: stretch.at, len, kind },
            stretch,
            shared: Arc::clone(&self.shared),
        };
        {
            let mut free = self.shared.free.lock().unwrap_or_else(PoisonError::into_inner);
            let fits = |s: &Stretch| s.bytes >= bytes && s.bytes <= size + size / 4;
            let best = (0..free.len()).filter(|&i| roomy && fits(&free[i])).min_by_key(|&i| free[i].bytes);
            if let Some(i) = best {
                return Ok(lent(free.swap_remove(i)));
            }
        }
        let asked = self.device().allocate(size);
        let at = match asked {
            Err(DeviceError::OutOfMemory { .. }) => {
                self.shed();
                self.device().allocate(size)?
            }
            other => other?,
        };
        Ok(lent(Stretch { at, bytes: size }))
    }

    /// Gives everything that lies free back to the device.
    pub fn shed(&self) {
        let free: Vec<Stretch> = std::mem::take(&mut self.shared.free.lock().unwrap_or_else(PoisonError::into_inner));
        for stretch in free {
            self.device().release(stretch.at);
        }
    }
}

/// The size that is asked of the device for `bytes` bytes: sixteen sizes to a doubling.
pub(super) fn class(bytes: usize) -> usize {
    let step = (bytes.next_power_of_two() / 32).max(512);
    bytes.div_ceil(step) * step
}
