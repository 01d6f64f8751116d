//! A loss curve smoothed, and what it says in plain words.

/// A mean that forgets: of values one after the other, the recent ones count most.
///
/// Weights fall by `1 - 1 / span` a value, and the sum of weights divides, so that the beginning is no worse than the rest (Kingma &
/// Ba 2015, section 3, on the same bias).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Smooth {
    keep: f64,
    sum: f64,
    weight: f64,
}

impl Smooth {
    /// A mean over about the last `span` values.
    #[must_use]
    pub fn new(span: f64) -> Self {
        Self { keep: 1.0 - 1.0 / span.max(1.0), sum: 0.0, weight: 0.0 }
    }

    /// A mean over as many values as make the curve of a run of so many steps readable: a fortieth of it, 4 to 100.
    #[must_use]
    pub fn of_run(steps: Option<u64>) -> Self {
        Self::new(steps.map_or(16.0, |steps| (steps as f64 / 40.0).clamp(4.0, 100.0)))
    }

    /// Takes a value and returns the mean; what is no finite number is passed over.
    pub fn push(&mut self, value: f64) -> f64 {
        if value.is_finite() {
            self.sum = self.keep * self.sum + value;
            self.weight = self.keep * self.weight + 1.0;
        }
        if self.weight > 0.0 { self.sum / self.weight } else { f64::NAN }
    }
}

/// What a curve says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Too few steps.
    Early,
    /// The loss is falling.
    Falling,
    /// It is not, any more.
    Flat,
    /// The validation loss rises while the training loss falls, since a step.
    Overfitting(u64),
    /// The training loss left its course at a step.
    Diverged(u64),
}

/// Steps from which on a curve says something.
const FEW: usize = 12;
/// A change of the loss by this share of it counts.
const SHARE: f64 = 0.01;
/// Rising to this many times the lowest loss, and by this many nats, is divergence and not noise.
const DIVERGED: (f64, f64) = (1.6, 0.3);

/// Reads a curve: steps with smoothed training losses, steps with validation losses, both in order.
#[must_use]
pub fn verdict(train: &[(u64, f64)], valid: &[(u64, f64)]) -> Verdict {
    let Some((&(_, last), _)) = train.split_last().filter(|_| train.len() >= FEW) else { return Verdict::Early };
    if let Some((step, lowest)) = lowest(train)
        && (!last.is_finite() || (last > DIVERGED.0 * lowest && last - lowest > DIVERGED.1))
    {
        return Verdict::Diverged(step);
    }
    if let Some((best_at, best)) = lowest(valid) {
        let after: Vec<f64> = valid.iter().filter(|(step, _)| *step > best_at).map(|(_, loss)| *loss).collect();
        let rose = after.last().is_some_and(|now| *now > best * (1.0 + SHARE));
        let then = train.iter().take_while(|(step, _)| *step <= best_at).last().map_or(f64::NAN, |(_, loss)| *loss);
        if after.len() >= 2 && rose && last < then {
            return Verdict::Overfitting(best_at);
        }
    }
    // With validation, its last word counts; without, the last third of the training loss.
    let falling = match valid {
        [.., (_, before), _, (_, now)] => now.min(f64::MAX) < before * (1.0 - SHARE),
        _ => falls(train.get(train.len() * 2 / 3..).unwrap_or_default()),
    };
    if falling { Verdict::Falling } else { Verdict::Flat }
}

fn lowest(points: &[(u64, f64)]) -> Option<(u64, f64)> {
    let finite = points.iter().filter(|(_, loss)| loss.is_finite());
    finite.copied().min_by(|(_, a), (_, b)| a.total_cmp(b))
}

/// Whether a straight line through the points falls by more than [`SHARE`] of their mean, and by more than twice what their
/// scatter about it leaves open.
fn falls(points: &[(u64, f64)]) -> bool {
    let points: Vec<(f64, f64)> =
        points.iter().filter(|(_, loss)| loss.is_finite()).map(|&(step, loss)| (step as f64, loss)).collect();
    let n = points.len() as f64;
    if points.len() < 4 {
        return false;
    }
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let spread: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
    let slope = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum::<f64>() / spread;
    let rest: f64 = points.iter().map(|p| (p.1 - y - slope * (p.0 - x)).powi(2)).sum();
    let error = (rest / (n - 2.0) / spread).sqrt();
    let length = points.last().map_or(0.0, |p| p.0) - points.first().map_or(0.0, |p| p.0);
    -slope * length > SHARE * y.abs() && -slope > 2.0 * error
}

/// What the curve says, in a sentence; `over` where the run has ended.
#[must_use]
pub fn words(train: &[(u64, f64)], valid: &[(u64, f64)], over: bool) -> String {
    let best = lowest(valid);
    match verdict(train, valid) {
        Verdict::Early => "too early to say".to_owned(),
        Verdict::Falling if over => "it was still falling at its end: more steps may well do better".to_owned(),
        Verdict::Falling if valid.len() > 2 => "still falling, on the validation records too".to_owned(),
        Verdict::Falling => "still falling".to_owned(),
        Verdict::Flat => match best {
            Some((step, loss)) if valid.len() > 2 => {
                format!("flat: the validation loss has not moved much of late; the lowest is {loss:.3} at step {step}")
            }
            _ => "flat: the training loss has not moved much of late".to_owned(),
        },
        Verdict::Overfitting(step) => {
            let now = valid.last().map_or(f64::NAN, |(_, loss)| *loss);
            let then = best.map_or(f64::NAN, |(_, loss)| loss);
            format!(
                "overfitting since step {step}: the validation loss rose from {then:.3} to {now:.3} while the training loss fell; \
                 the checkpoint of step {step} is kept as the best"
            )
        }
        Verdict::Diverged(step) => {
            format!("diverged: the training loss has been rising since step {step}; a lower learning rate may help")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A curve over `steps` with a little noise that is the same every time, smoothed as the pane does it.
    fn smoothed(steps: u64, loss: impl Fn(f64) -> f64) -> Vec<(u64, f64)> {
        let mut smooth = Smooth::of_run(Some(steps));
        (1..=steps)
            .map(|step| {
                let noise = (step as f64 * 12.9898).sin() * 0.03;
                (step, smooth.push(loss(step as f64) * (1.0 + noise)))
            })
            .collect()
    }

    fn every(by: u64, steps: u64, loss: impl Fn(f64) -> f64) -> Vec<(u64, f64)> {
        (0..=steps / by).map(|n| (n * by, loss((n * by) as f64))).collect()
    }

    #[test]
    fn a_mean_forgets_and_begins_without_bias() {
        let mut smooth = Smooth::new(10.0);
        assert!(smooth.push(f64::NAN).is_nan(), "nothing has come yet");
        assert!((smooth.push(5.0) - 5.0).abs() < 1e-12);
        let constant = (0..50).fold(0.0, |_, _| smooth.push(5.0));
        assert!((constant - 5.0).abs() < 1e-12);
        assert!((smooth.push(f64::NAN) - 5.0).abs() < 1e-12, "a gap changes nothing");
        let after = (0..100).fold(0.0, |_, _| smooth.push(1.0));
        assert!((after - 1.0).abs() < 1e-3, "{after}");
    }

    #[test]
    fn a_falling_curve_falls_and_a_flat_one_is_flat() {
        let decay = |step: f64| 0.5 + 3.0 * (-step / 80.0).exp();
        assert_eq!(verdict(&smoothed(8, decay), &[]), Verdict::Early);
        assert_eq!(verdict(&smoothed(120, decay), &[]), Verdict::Falling);
        assert_eq!(verdict(&smoothed(120, decay), &every(20, 120, decay)), Verdict::Falling);
        assert_eq!(verdict(&smoothed(2_000, decay), &[]), Verdict::Flat);
        assert_eq!(verdict(&smoothed(2_000, decay), &every(200, 2_000, decay)), Verdict::Flat);
        assert!(words(&smoothed(120, decay), &[], true).contains("more steps"));
    }

    #[test]
    fn validation_that_rises_while_training_falls_is_overfitting() {
        let train = smoothed(200, |step| 2.0 * (-step / 90.0).exp());
        let valid = every(20, 200, |step| 0.8 + (step / 100.0 - 1.0).powi(2) * 0.2);
        assert_eq!(verdict(&train, &valid), Verdict::Overfitting(100));
        let told = words(&train, &valid, false);
        assert!(told.contains("since step 100") && told.contains("0.800 to 1.000"), "{told}");
        let once = valid.get(..7).unwrap();
        assert_ne!(verdict(&train, once), Verdict::Overfitting(100), "one look more is chance");
    }

    #[test]
    fn a_curve_that_leaves_its_course_has_diverged() {
        let course = |step: f64| if step < 60.0 { 3.0 - step / 30.0 } else { 1.0 + (step - 60.0) / 20.0 };
        let Verdict::Diverged(step) = verdict(&smoothed(120, course), &[]) else { panic!() };
        assert!((58..70).contains(&step), "{step}");
        let mut lost = smoothed(40, |_| 1.0);
        lost.push((41, f64::NAN));
        assert!(matches!(verdict(&lost, &[]), Verdict::Diverged(_)));
    }
}
