//! Rotary tables on a device, as long as the longest text so far needed.

use super::DeviceError;
use super::ops::RotarySpans;
use super::pool::{Buffer, Pool};
use super::weights::floats;
use crate::model::description::{Description, Rotary};
use crate::model::ops::rotary::Table;

struct Halves {
    cos: Buffer,
    sin: Buffer,
    half: usize,
}

impl Halves {
    fn upload(pool: &Pool, rotary: &Rotary, length: usize) -> Result<Self, DeviceError> {
        let table = Table::new(rotary, length);
        Ok(Self { cos: floats(pool, table.cos())?, sin: floats(pool, table.sin())?, half: table.half() })
    }

    fn spans(&self) -> RotarySpans {
        RotarySpans { cos: self.cos.span, sin: self.sin.span, half: self.half }
    }
}

/// The tables of a model's global layers and, where they have others, of its local ones.
pub struct Tables {
    length: usize,
    global: Halves,
    local: Option<Halves>,
}

impl Tables {
    /// Tables that cover `length` positions: those of `old` where they do already.
    ///
    /// # Errors
    /// When the device has no room for them, or fails.
    pub fn covering(old: Option<Self>, pool: &Pool, d: &Description, length: usize) -> Result<Self, DeviceError> {
        if let Some(old) = old.filter(|old| old.length >= length) {
            return Ok(old);
        }
        let length = length.next_power_of_two();
        let local = d.local_rotary.as_ref().map(|rotary| Halves::upload(pool, rotary, length)).transpose()?;
        Ok(Self { length, global: Halves::upload(pool, &d.rotary, length)?, local })
    }

    /// The table of global layers.
    #[must_use]
    pub fn global(&self) -> RotarySpans {
        self.global.spans()
    }

    /// The table of local layers, where it differs.
    #[must_use]
    pub fn local(&self) -> Option<RotarySpans> {
        self.local.as_ref().map(Halves::spans)
    }
}
