//! Following a project's runs while other processes carry them out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::job::{self, Job, Kind, Reader, Request, State};
use crate::worker::{BaseModel, Metrics, Sample};

use super::super::context::ActionError;
use super::{Run, read_note};

/// About so many bytes of a log are held at a time.
const PART: u64 = 1 << 20;
/// Runs that do not run are looked at once in so many looks.
const SELDOM: u32 = 6;
/// Over so long the processor time is taken.
const LOAD: Duration = Duration::from_secs(2);
/// Processor time is counted in hundredths of a second: `USER_HZ`, which Linux keeps at 100 for all programs (time(7)).
const TICKS: f64 = 100.0;

/// What a look has found.
#[derive(Debug)]
pub enum Seen<'a> {
    /// The runs are other than they were told last; all of them, oldest first.
    Runs(&'a [Run]),
    /// Steps of a watched run that are new; `anew` where those told before are void.
    Steps { run: &'a str, anew: bool, steps: Vec<Metrics> },
    /// Sample answers, likewise.
    Samples { run: &'a str, anew: bool, samples: Vec<Sample> },
}

/// Follows the runs of a folder.
#[derive(Debug)]
pub struct Follower {
    dir: PathBuf,
    known: BTreeMap<String, Known>,
    watched: Vec<String>,
    told: Vec<Run>,
    looks: u32,
}

/// A run that is followed.
#[derive(Debug)]
struct Known {
    job: Option<Job>,
    run: Run,
    metrics: Reader<Metrics>,
    /// Of a watched run only.
    samples: Option<Reader<Sample>>,
    live: bool,
    /// When its processor time was looked at last, and what it was.
    load: Option<(Instant, f64)>,
}

impl Follower {
    /// Follows the runs under `dir`, from their beginning.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), known: BTreeMap::new(), watched: Vec::new(), told: Vec::new(), looks: 0 }
    }

    /// Whether any run was running at the last look.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.known.values().any(|known| known.live)
    }

    /// Looks at every run again at the next look, and not only at those that run.
    pub fn refresh(&mut self) {
        self.looks = 0;
    }

    /// Says of which runs every step and sample is wanted. One that is new among them is told from its first step on; one that was
    /// not among them for a moment, too: whoever wanted it has forgotten it.
    pub fn watch(&mut self, runs: Vec<String>) {
        for (name, known) in &mut self.known {
            if !runs.contains(name) {
                known.samples = None;
            }
        }
        self.watched = runs;
    }

    /// Looks what is new, and tells it.
    ///
    /// # Errors
    /// When the folder of the runs cannot be read.
    pub fn look(&mut self, tell: &mut dyn FnMut(Seen<'_>)) -> Result<(), ActionError> {
        let all = self.looks.is_multiple_of(SELDOM);
        self.looks = self.looks.wrapping_add(1);
        let names = Job::names(&self.dir)?;
        self.known.retain(|name, _| names.binary_search(name).is_ok());
        for name in names {
            let begins = self.watched.contains(&name);
            let known = self.known.entry(name).or_insert_with_key(|name| Known::new(&self.dir, name));
            let begins = begins && known.samples.is_none();
            if begins {
                known.metrics = Reader::new(&known.path("metrics.jsonl", &self.dir));
                known.samples = Some(Reader::new(&known.path("samples.jsonl", &self.dir)));
            }
            // What it wrote between the last reading and its end is read once more.
            let live = known.live;
            if begins || all || live || known.job.is_none() {
                known.look(&self.dir);
            }
            if begins || all || live || known.live {
                known.read(begins, tell);
            }
        }
        let runs: Vec<Run> =
            self.known.values().filter(|known| known.is_training()).map(|known| known.run.clone()).collect();
        if runs != self.told || self.looks == 1 {
            tell(Seen::Runs(&runs));
            self.told = runs;
        }
        Ok(())
    }
}

impl Known {
    fn new(dir: &Path, name: &str) -> Self {
        let run = Run { run: name.to_owned(), ..Run::default() };
        let metrics = Reader::new(&dir.join(name).join("metrics.jsonl"));
        Self { job: None, run, metrics, samples: None, live: false, load: None }
    }

    fn path(&self, file: &str, dir: &Path) -> PathBuf {
        dir.join(&self.run.run).join(file)
    }

    /// Whether it is a training; what cannot be read is taken for one.
    fn is_training(&self) -> bool {
        self.job.as_ref().is_none_or(|job| job.header().kind == Kind::Train)
    }

    /// Looks how it stands.
    fn look(&mut self, dir: &Path) {
        self.live = false;
        if let Err(error) = self.stands(dir) {
            self.run.state = "unreadable".into();
            self.run.problem = Some(error.to_string());
        }
    }

    fn stands(&mut self, dir: &Path) -> Result<(), ActionError> {
        let job = match self.job.take() {
            Some(job) => job,
            None => self.open(dir)?,
        };
        let state = job.state();
        let run = &mut self.run;
        (run.phase, run.seconds_left, run.problem, run.reason) = (None, None, None, None);
        run.note = read_note(job.dir());
        let dir = job.dir().to_owned();
        self.job = Some(job);
        let state = state?;
        state.word().clone_into(&mut run.state);
        match state {
            State::Running(holder) => {
                self.live = true;
                let now = (Instant::now(), processor(holder.pid));
                if let (now, Some(ticks)) = now
                    && self.load.is_none_or(|(then, _)| then.elapsed() >= LOAD)
                {
                    let before = self.load.replace((now, ticks));
                    let share = before.map(|(then, before)| (ticks - before) / TICKS / (now - then).as_secs_f64());
                    // Tens of percent say enough, and change seldom.
                    run.cpu = share.filter(|share| *share >= 0.0).map(|share| (share * 10.0).round() as u32 * 10);
                }
                // One that is reading its model does not listen yet.
                let progress = job::send(&dir, Request::Status).unwrap_or_default();
                run.phase =
                    serde_json::to_value(progress.phase).ok().and_then(|phase| Some(phase.as_str()?.to_owned()));
                run.seconds_left = progress.seconds_left;
            }
            State::Ended(ending) => run.reason = Some(ending.reason),
            State::Waiting | State::Interrupted(_) => {}
        }
        if !self.live {
            (run.cpu, self.load) = (None, None);
        }
        Ok(())
    }

    /// Reads what never changes.
    fn open(&mut self, dir: &Path) -> Result<Job, ActionError> {
        #[derive(serde::Deserialize)]
        struct Plan {
            steps: Option<u64>,
            base: Option<BaseModel>,
        }
        let job = Job::open(&dir.join(&self.run.run))?;
        if job.header().kind == Kind::Train {
            let plan: Plan = job.plan()?;
            self.run.steps = plan.steps;
            self.run.base = plan.base.map(|base| base.name);
        }
        self.run.rows = job.header().rows.get("train").copied();
        self.run.created = Some(job.header().created.to_string());
        Ok(job)
    }

    /// Reads what it wrote.
    fn read(&mut self, begins: bool, tell: &mut dyn FnMut(Seen<'_>)) {
        let run = &mut self.run;
        let mut anew = begins;
        loop {
            let tail = match self.metrics.poll_up_to(PART) {
                Ok(tail) => tail,
                Err(error) => {
                    run.problem = Some(error.to_string());
                    break;
                }
            };
            anew |= tail.restarted;
            if tail.restarted || begins && anew {
                (run.step, run.loss, run.best) = (0, None, None);
            }
            let done = tail.lines.is_empty() && tail.unreadable.is_empty();
            for line in &tail.lines {
                run.step = line.step;
                run.loss = line.loss.or(run.loss);
                run.tokens_per_s = (line.seconds > 0.0).then(|| line.tokens as f64 / line.seconds);
                if let Some(loss) = line.valid_loss.filter(|&loss| run.best.is_none_or(|(best, _)| loss < best)) {
                    run.best = Some((loss, line.step));
                }
            }
            if self.samples.is_some() && (anew || !tail.lines.is_empty()) {
                tell(Seen::Steps { run: &run.run, anew, steps: tail.lines });
            }
            anew = false;
            if done {
                break;
            }
        }
        let Some(samples) = &mut self.samples else { return };
        let mut anew = begins;
        while let Ok(tail) = samples.poll_up_to(PART) {
            anew |= tail.restarted;
            let done = tail.lines.is_empty() && tail.unreadable.is_empty();
            if anew || !tail.lines.is_empty() {
                tell(Seen::Samples { run: &run.run, anew, samples: tail.lines });
            }
            anew = false;
            if done {
                break;
            }
        }
    }
}

/// The processor time that a process of this machine has taken, in [`TICKS`]; `None` where the system does not say.
fn processor(pid: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Behind the name in brackets: its own time is the 12th field, the system's for it the 13th (proc(5)).
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some(fields.next()?.parse::<f64>().ok()? + fields.next()?.parse::<f64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Outcome;
    use serde_json::json;

    #[derive(Debug, Default, PartialEq)]
    struct Told {
        runs: Vec<(String, String, u64)>,
        steps: Vec<(bool, Vec<u64>)>,
        samples: Vec<String>,
    }

    fn look(follower: &mut Follower, watched: &[String]) -> Told {
        let mut told = Told::default();
        follower.refresh();
        follower.watch(watched.to_vec());
        follower
            .look(&mut |seen| match seen {
                Seen::Runs(runs) => {
                    told.runs = runs.iter().map(|run| (run.run.clone(), run.state.clone(), run.step)).collect();
                }
                Seen::Steps { anew, steps, .. } => {
                    told.steps.push((anew, steps.iter().map(|line| line.step).collect()));
                }
                Seen::Samples { samples, .. } => told.samples.extend(samples.into_iter().map(|sample| sample.answer)),
            })
            .unwrap();
        told
    }

    #[test]
    fn a_watched_run_is_told_from_its_first_step_and_a_resumed_one_anew() {
        let runs = tempfile::tempdir().unwrap();
        let plan: toml::Table = toml::from_str("steps = 9").unwrap();
        let job = Job::create(runs.path(), Kind::Train).unwrap().seal(&plan).unwrap();
        let (name, mut follower) = (job.name(), Follower::new(runs.path()));
        let watched = [name.clone()];
        assert_eq!(look(&mut follower, &[]).runs, [(name.clone(), "waiting".to_owned(), 0)]);

        let hold = job.hold().unwrap();
        let mut writer = hold.writer().unwrap();
        let line = |step: u64| json!({ "step": step, "epoch": 0.1, "loss": 2.0, "tokens": 1, "supervised": 1, "seconds": 0.1, "memory_mib": 1 });
        for step in 1..=4 {
            writer.metrics(&line(step)).unwrap();
        }
        writer.sample(&json!({ "step": 4, "id": "r1", "answer": "はい" })).unwrap();
        let unwatched = look(&mut follower, &[]);
        assert_eq!((unwatched.runs, unwatched.steps), (vec![(name.clone(), "running".into(), 4)], vec![]));
        assert!(follower.is_live());
        let told = look(&mut follower, &watched);
        assert_eq!(told.steps.first(), Some(&(true, vec![1, 2, 3, 4])), "all of it");
        assert_eq!(told.samples, ["はい"]);
        assert_eq!(look(&mut follower, &watched).steps, [], "nothing is told twice");
        follower.watch(Vec::new());
        let told = look(&mut follower, &watched);
        assert_eq!(told.steps, [(true, vec![1, 2, 3, 4])], "let go and wanted again between two looks");

        let mut writer = hold.resume_writer(2).unwrap();
        writer.metrics(&line(3)).unwrap();
        let told = look(&mut follower, &watched);
        assert_eq!(told.steps, [(true, vec![1, 2, 3])]);
        assert_eq!(told.runs, [(name.clone(), "running".into(), 3)]);
        writer.metrics(&line(4)).unwrap();
        drop(writer);
        hold.end(Outcome::Stopped, Some(4), "stopped at step 4 of 9").unwrap();
        let told = look(&mut follower, &watched);
        assert_eq!(told.runs, [(name, "stopped".into(), 4)], "what it wrote before its end is read");
        assert!(!follower.is_live());
    }

    #[test]
    fn what_is_no_run_is_listed_with_the_reason_until_it_is_one() {
        let runs = tempfile::tempdir().unwrap();
        std::fs::create_dir(runs.path().join("2026-11-22-a1")).unwrap();
        let mut follower = Follower::new(runs.path());
        let mut problem = None;
        follower
            .look(&mut |seen| {
                if let Seen::Runs(runs) = seen {
                    problem = runs[0].problem.clone();
                }
            })
            .unwrap();
        assert!(problem.unwrap().contains("is not a run"));
    }
}
