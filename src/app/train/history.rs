//! What a run wrote of itself, kept so that it can be drawn: everything of the recent part, lowest and highest of stretches of the
//! rest. However long the run, the memory is bounded.

use std::collections::VecDeque;

use crate::evaluate::curve::{self, Smooth};

/// Points kept one by one.
const RECENT: usize = 2_048;
/// Stretches kept of what came before; where there would be more, two and two become one.
const STRETCHES: usize = 1_024;
/// Steps of a stretch at first.
const FIRST: u64 = 4;
/// Validations kept.
const LOOKS: usize = 2_048;
/// Steps over which the speed is taken.
const PACE: usize = 10;
/// Points that the words about a curve are made of, at most.
const READ: usize = 600;

/// One step of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    /// Which one; 0 is the evaluation before the first.
    pub step: u64,
    /// Mean training loss in nats.
    pub loss: Option<f64>,
    /// Learning rate.
    pub rate: Option<f64>,
    /// Norm of the gradient before clipping.
    pub norm: Option<f64>,
    /// Validation loss, where there was an evaluation.
    pub valid: Option<f64>,
    /// Tokens so far.
    pub tokens: u64,
    /// Seconds of training so far.
    pub seconds: f64,
    /// Resident memory of the worker in MiB.
    pub memory_mib: u64,
}

/// A stretch of a series: from a step to a step, lowest and highest value, and the mean as it stood at its end. All three are
/// NaN in a gap.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stretch {
    /// The first step.
    pub from: u64,
    /// The last step.
    pub to: u64,
    /// The lowest value.
    pub low: f64,
    /// The highest.
    pub high: f64,
    /// The smoothed value.
    pub smooth: f64,
}

impl Stretch {
    /// Puts the next one behind it.
    fn join(&mut self, next: &Self) {
        self.to = next.to;
        // `min` and `max` pass over what is no number.
        (self.low, self.high) = (self.low.min(next.low), self.high.max(next.high));
        if next.smooth.is_finite() {
            self.smooth = next.smooth;
        }
    }
}

/// One number a step.
#[derive(Clone, Debug)]
pub struct Series {
    old: Vec<Stretch>,
    width: u64,
    recent: VecDeque<Stretch>,
    smooth: Smooth,
}

impl Series {
    fn new(smooth: Smooth) -> Self {
        Self { old: Vec::new(), width: FIRST, recent: VecDeque::new(), smooth }
    }

    /// Takes the value of a step; none is a gap.
    fn push(&mut self, step: u64, value: Option<f64>) {
        let value = value.filter(|value| value.is_finite()).unwrap_or(f64::NAN);
        let smooth = self.smooth.push(value);
        let smooth = if value.is_finite() { smooth } else { f64::NAN };
        self.recent.push_back(Stretch { from: step, to: step, low: value, high: value, smooth });
        if self.recent.len() > RECENT
            && let Some(oldest) = self.recent.pop_front()
        {
            self.keep(oldest);
            if self.old.len() > STRETCHES {
                self.width *= 2;
                for stretch in std::mem::take(&mut self.old) {
                    self.keep(stretch);
                }
            }
        }
    }

    fn keep(&mut self, next: Stretch) {
        match self.old.last_mut() {
            Some(last) if next.to - last.from < self.width => last.join(&next),
            _ => self.old.push(next),
        }
    }

    /// All of it, in order.
    pub fn stretches(&self) -> impl Iterator<Item = &Stretch> {
        self.old.iter().chain(&self.recent)
    }

    /// The stretch of a step, or the last one before it.
    #[must_use]
    pub fn at(&self, step: u64) -> Option<&Stretch> {
        self.stretches().take_while(|stretch| stretch.from <= step).last()
    }

    /// The newest value that is a number.
    #[must_use]
    pub fn last(&self) -> Option<f64> {
        self.recent.iter().rev().map(|stretch| stretch.high).find(|value| value.is_finite())
    }

    /// How many stretches are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.old.len() + self.recent.len()
    }
}

/// Everything that is kept of a run's steps.
#[derive(Clone, Debug)]
pub struct History {
    /// Training loss.
    pub loss: Series,
    /// Learning rate.
    pub rate: Series,
    /// Norm of the gradient.
    pub norm: Series,
    /// Validation losses.
    pub valid: Vec<(u64, f64)>,
    /// The newest step.
    pub last: Point,
    /// What the curve says.
    pub words: String,
    pace: VecDeque<(u64, f64)>,
}

impl History {
    /// Nothing yet, of a run of so many steps.
    #[must_use]
    pub fn new(steps: Option<u64>) -> Self {
        let series = || Series::new(Smooth::of_run(steps));
        Self {
            loss: series(),
            rate: Series::new(Smooth::new(1.0)),
            norm: series(),
            valid: Vec::new(),
            last: Point::default(),
            words: String::new(),
            pace: VecDeque::new(),
        }
    }

    /// Takes steps; `over` where the run has ended.
    pub fn take(&mut self, points: &[Point], over: bool) {
        for point in points {
            if let Some(loss) = point.valid {
                self.valid.push((point.step, loss));
            }
            // The evaluation before the first step has no loss of its own, and that is no gap.
            if point.step > 0 {
                self.loss.push(point.step, point.loss);
                self.rate.push(point.step, point.rate);
                self.norm.push(point.step, point.norm);
            }
            // A resumed run begins its seconds where it left them, so a fall is another process.
            if self.pace.back().is_some_and(|(_, seconds)| point.seconds < *seconds) {
                self.pace.clear();
            }
            self.pace.push_back((point.tokens, point.seconds));
            if self.pace.len() > PACE + 1 {
                self.pace.pop_front();
            }
            self.last = *point;
        }
        if self.valid.len() > LOOKS {
            let best = self.best().map(|(step, _)| step);
            let mut odd = false;
            self.valid.retain(|(step, _)| {
                odd = !odd;
                odd || Some(*step) == best
            });
        }
        self.read(over);
    }

    /// Puts the curve in words again; `over` where the run has ended.
    pub fn read(&mut self, over: bool) {
        let all: Vec<(u64, f64)> = self.loss.stretches().map(|stretch| (stretch.to, stretch.smooth)).collect();
        let by = all.len().div_ceil(READ).max(1);
        let last = all.len().saturating_sub(1);
        let train: Vec<(u64, f64)> = all
            .into_iter()
            .enumerate()
            .filter(|(at, _)| (last - at).is_multiple_of(by))
            .map(|(_, point)| point)
            .collect();
        self.words = curve::words(&train, &self.valid, over);
    }

    /// The lowest validation loss and its step.
    #[must_use]
    pub fn best(&self) -> Option<(u64, f64)> {
        self.valid.iter().copied().filter(|(_, loss)| loss.is_finite()).min_by(|(_, a), (_, b)| a.total_cmp(b))
    }

    /// Tokens a second over the last steps.
    #[must_use]
    pub fn tokens_per_s(&self) -> Option<f64> {
        let (first, last) = (self.pace.front()?, self.pace.back()?);
        let seconds = last.1 - first.1;
        (seconds > 0.0).then(|| last.0.saturating_sub(first.0) as f64 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(step: u64, loss: f64) -> Point {
        Point { step, loss: Some(loss), tokens: step * 100, seconds: step as f64 * 0.5, ..Point::default() }
    }

    #[test]
    fn a_long_run_is_held_in_bounded_memory_and_keeps_its_peaks() {
        let mut history = History::new(Some(1_000_000));
        let points: Vec<Point> = (1..=200_000).map(|step| point(step, if step == 777 { 99.0 } else { 1.0 })).collect();
        history.take(&points, false);
        assert!(history.loss.held() <= RECENT + STRETCHES, "{}", history.loss.held());
        let steps: u64 = history.loss.stretches().map(|stretch| stretch.to - stretch.from + 1).sum();
        assert_eq!(steps, 200_000, "no step is missing and none is there twice");
        let peak = history.loss.at(777).unwrap();
        assert!((peak.from..=peak.to).contains(&777) && peak.high > 98.0 && peak.low < 1.1);
        let recent = history.loss.at(199_990).unwrap();
        assert_eq!((recent.from, recent.to), (199_990, 199_990), "the recent part is there in full");
        let (old, new) = (history.loss.at(10).unwrap(), history.loss.at(150_000).unwrap());
        assert!(old.to - old.from + 1 >= FIRST && new.to - new.from + 1 >= FIRST);
    }

    #[test]
    fn a_number_that_is_none_is_a_gap() {
        let mut history = History::new(Some(40));
        let lost = Point { loss: None, ..point(3, 0.0) };
        history.take(&[point(1, 2.0), point(2, 2.0), lost, point(4, f64::NAN), point(5, 2.0)], false);
        let numbers: Vec<bool> = history.loss.stretches().map(|stretch| stretch.high.is_finite()).collect();
        assert_eq!(numbers, [true, true, false, false, true]);
        assert!(history.loss.last().is_some_and(|loss| (loss - 2.0).abs() < 1e-9));
    }

    #[test]
    fn the_speed_is_that_of_the_last_steps() {
        let mut history = History::new(None);
        assert_eq!(history.tokens_per_s(), None);
        let fast = (101..=200).map(|step| Point { seconds: 50.0 + step as f64 * 0.1, ..point(step, 1.0) });
        history.take(&(1..=100).map(|step| point(step, 1.0)).chain(fast).collect::<Vec<_>>(), false);
        assert!(history.tokens_per_s().is_some_and(|speed| (speed - 1_000.0).abs() < 1e-6));
    }

    #[test]
    fn the_evaluation_before_the_first_step_is_no_gap_in_the_loss() {
        let mut history = History::new(Some(10));
        history.take(&[Point { valid: Some(3.0), ..Point::default() }, point(1, 2.0)], false);
        assert_eq!((history.loss.held(), history.valid.len()), (1, 1));
    }
}
