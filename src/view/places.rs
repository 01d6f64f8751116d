//! Where on the screen the things stand that can be clicked on, noted as they are drawn.

use ratatui::layout::{Position, Rect};

use crate::app::Spot;

/// Things on a frame and their places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places(Vec<(Rect, Spot)>);

impl Places {
    /// Notes where something stands.
    pub(super) fn note(&mut self, area: Rect, spot: Spot) {
        self.0.push((area, spot));
    }

    /// Returns what stands in a cell, counted from the upper left, from 0.
    #[must_use]
    pub fn at(&self, column: u16, row: u16) -> Option<Spot> {
        let here = Position::new(column, row);
        self.0.iter().rev().find(|(area, _)| area.contains(here)).map(|(_, spot)| *spot)
    }
}
