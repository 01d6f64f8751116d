//! Checkpoints: folders that are there whole or not at all, the `best` link, and which of them are kept.
//!
//! A checkpoint is written under a name that begins with a dot, synced, and moved to its own; one that goes is moved back to
//! such a name before it is deleted. So whatever is called `step-…` is whole, and what begins with a dot is rubbish that
//! [`recover`] clears away, with one exception: the old one of a checkpoint that was being written again.

use std::fmt::Display;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{BEST, CHECKPOINTS, Hold, Job, JobError};
use crate::project::durable::{self, FileError};

const PREFIX: &str = "step-";
const PARTIAL: &str = ".partial-";
const OLD: &str = ".old-";
const GONE: &str = ".gone-";

/// A whole checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The optimizer steps that lead to it.
    pub step: u64,
    /// Its folder.
    pub dir: PathBuf,
}

/// Which checkpoints [`Hold::prune`] keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Every one.
    All,
    /// The best and this many of the newest.
    BestAndLast(usize),
}

impl Default for Keep {
    /// The best and the last two.
    fn default() -> Self {
        Self::BestAndLast(2)
    }
}

impl Job {
    /// Returns the checkpoints, by step.
    ///
    /// # Errors
    ///
    /// Where the folder cannot be read.
    pub fn checkpoints(&self) -> Result<Vec<Checkpoint>, JobError> {
        let mut found: Vec<_> = entries(&self.dir().join(CHECKPOINTS))?
            .into_iter()
            .filter_map(|(name, dir)| Some(Checkpoint { step: step_of(&name)?, dir }))
            .collect();
        found.sort_by_key(|checkpoint| checkpoint.step);
        Ok(found)
    }

    /// Returns the newest checkpoint, from which a run resumes; `None` where there is none yet.
    ///
    /// # Errors
    ///
    /// As [`Job::checkpoints`].
    pub fn latest_checkpoint(&self) -> Result<Option<Checkpoint>, JobError> {
        Ok(self.checkpoints()?.pop())
    }

    /// Returns the checkpoint of `step`.
    ///
    /// # Errors
    ///
    /// Where there is none; the message lists those there are.
    pub fn checkpoint(&self, step: u64) -> Result<Checkpoint, JobError> {
        let mut all = self.checkpoints()?;
        if let Some(index) = all.iter().position(|checkpoint| checkpoint.step == step) {
            return Ok(all.swap_remove(index));
        }
        let steps = all.iter().map(|checkpoint| checkpoint.step).collect();
        Err(JobError::NoCheckpoint { dir: self.dir().to_owned(), step, steps })
    }

    /// Returns the checkpoint that `best` points to; `None` where none was marked.
    ///
    /// # Errors
    ///
    /// Where the link cannot be read, or the checkpoint it names is missing.
    pub fn best_checkpoint(&self) -> Result<Option<Checkpoint>, JobError> {
        let link = self.dir().join(BEST);
        let target = match fs::read_link(&link) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(FileError::on("read the link", &link))?,
        };
        let step = target.file_name().and_then(|name| step_of(name.to_str()?));
        step.map(|step| self.checkpoint(step)).transpose()
    }
}

impl Hold {
    /// Writes the checkpoint of `step`, whole or not at all: `files` writes its files into the folder it is given, which then
    /// is synced and moved to its name. A checkpoint of the same step is replaced.
    ///
    /// # Errors
    ///
    /// With the error of `files` in words, or where the disk is full; the checkpoints that were there are then as they were.
    pub fn write_checkpoint<E: Display>(
        &self,
        step: u64,
        files: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<Checkpoint, JobError> {
        let all = self.job().dir().join(CHECKPOINTS);
        durable::create_dir_all(&all)?;
        let name = name_of(step);
        let dir = all.join(&name);
        let partial = all.join(format!("{PARTIAL}{name}"));
        remove(&partial)?;
        durable::create_dir(&partial)?;
        let written = files(&partial)
            .map_err(|error| JobError::Checkpoint { step, reason: error.to_string() })
            .and_then(|()| share_tree(&partial))
            .and_then(|()| Ok(durable::sync_tree(&partial)?));
        if let Err(error) = written {
            let _ = remove(&partial);
            return Err(error);
        }
        let old = all.join(format!("{OLD}{name}"));
        if dir.exists() {
            durable::rename(&dir, &old)?;
        }
        durable::rename(&partial, &dir)?;
        remove(&old)?;
        Ok(Checkpoint { step, dir })
    }

    /// Points `best` to the checkpoint of `step`.
    ///
    /// # Errors
    ///
    /// Where there is no such checkpoint.
    pub fn mark_best(&self, step: u64) -> Result<(), JobError> {
        self.job().checkpoint(step)?;
        let target = Path::new(CHECKPOINTS).join(name_of(step));
        Ok(durable::symlink(&target, &self.job().dir().join(BEST))?)
    }

    /// Deletes the checkpoints that `keep` does not name. Returns the steps of those that went.
    ///
    /// # Errors
    ///
    /// Where one cannot be deleted.
    pub fn prune(&self, keep: Keep) -> Result<Vec<u64>, JobError> {
        let Keep::BestAndLast(last) = keep else { return Ok(Vec::new()) };
        let all = self.job().checkpoints()?;
        let best = self.job().best_checkpoint()?.map(|best| best.step);
        let old = all.len().saturating_sub(last);
        let mut gone = Vec::new();
        for checkpoint in all.into_iter().take(old).filter(|checkpoint| Some(checkpoint.step) != best) {
            self.delete(&checkpoint)?;
            gone.push(checkpoint.step);
        }
        Ok(gone)
    }

    /// Deletes the checkpoints after `step`, which a run that is resumed there will write again. `best` goes with the
    /// checkpoint it points to.
    ///
    /// # Errors
    ///
    /// Where one cannot be deleted.
    pub fn rewind(&self, step: u64) -> Result<(), JobError> {
        if self.job().best_checkpoint()?.is_some_and(|best| best.step > step) {
            let link = self.job().dir().join(BEST);
            fs::remove_file(&link).map_err(FileError::on("remove the link", &link))?;
        }
        for checkpoint in self.job().checkpoints()?.iter().filter(|checkpoint| checkpoint.step > step) {
            self.delete(checkpoint)?;
        }
        Ok(())
    }

    fn delete(&self, checkpoint: &Checkpoint) -> Result<(), JobError> {
        let gone = self.job().dir().join(CHECKPOINTS).join(format!("{GONE}{}", name_of(checkpoint.step)));
        remove(&gone)?;
        durable::rename(&checkpoint.dir, &gone)?;
        remove(&gone)
    }
}

/// Clears away what an interrupted write or deletion left. Only for the holder of the lock.
pub(super) fn recover(job: &Path) -> Result<(), JobError> {
    let all = job.join(CHECKPOINTS);
    for (name, path) in entries(&all)? {
        if let Some(old) = name.strip_prefix(OLD)
            && !all.join(old).exists()
        {
            durable::rename(&path, &all.join(old))?;
        } else if [OLD, PARTIAL, GONE].iter().any(|prefix| name.starts_with(prefix)) {
            remove(&path)?;
        }
    }
    Ok(())
}

fn name_of(step: u64) -> String {
    format!("{PREFIX}{step:06}")
}

fn step_of(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.parse().ok()
}

/// Returns names and paths of what lies in `dir`; nothing where that is missing.
fn entries(dir: &Path) -> Result<Vec<(String, PathBuf)>, JobError> {
    let read = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => {
            read.and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(FileError::on("read the folder", dir))?
        }
    };
    Ok(read.into_iter().filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path()))).collect())
}

fn share_tree(dir: &Path) -> Result<(), JobError> {
    for (_, path) in entries(dir)? {
        durable::share(&path)?;
        if path.is_dir() {
            share_tree(&path)?;
        }
    }
    Ok(())
}

fn remove(dir: &Path) -> Result<(), JobError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(FileError::on("delete the folder", dir)(error).into())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Kind;

    fn held(runs: &Path) -> Hold {
        Job::create(runs, Kind::Train).unwrap().seal(&toml::Table::new()).unwrap().hold().unwrap()
    }

    fn write(hold: &Hold, step: u64, content: &str) -> Checkpoint {
        hold.write_checkpoint(step, |dir| fs::write(dir.join("state.json"), content)).unwrap()
    }

    fn steps(job: &Job) -> Vec<u64> {
        job.checkpoints().unwrap().iter().map(|checkpoint| checkpoint.step).collect()
    }

    fn files(job: &Job) -> Vec<String> {
        let mut names: Vec<_> =
            entries(&job.dir().join(CHECKPOINTS)).unwrap().into_iter().map(|(name, _)| name).collect();
        names.sort();
        names
    }

    #[test]
    fn a_checkpoint_whose_files_fail_is_not_there_and_the_old_one_stays() {
        let runs = tempfile::tempdir().unwrap();
        let hold = held(runs.path());
        write(&hold, 20, "good");
        let error = hold.write_checkpoint(20, |dir| {
            fs::write(dir.join("state.json"), "half").unwrap();
            Err("the disk is full")
        });
        let message = error.unwrap_err().to_string();
        assert!(message.contains("step 20") && message.contains("disk is full"), "{message}");
        assert_eq!(files(hold.job()), ["step-000020"]);
        assert_eq!(fs::read_to_string(hold.job().checkpoint(20).unwrap().dir.join("state.json")).unwrap(), "good");
    }

    #[test]
    fn best_and_the_last_two_are_kept() {
        let runs = tempfile::tempdir().unwrap();
        let hold = held(runs.path());
        for step in [20, 40, 60, 80, 1_000_000] {
            write(&hold, step, "");
            if step == 40 {
                hold.mark_best(step).unwrap();
            }
            hold.prune(Keep::default()).unwrap();
        }
        assert_eq!(steps(hold.job()), [40, 80, 1_000_000]);
        assert_eq!(hold.job().best_checkpoint().unwrap().unwrap().step, 40);
        assert_eq!(hold.job().latest_checkpoint().unwrap().unwrap().step, 1_000_000);
        assert_eq!(fs::read_link(hold.job().dir().join("best")).unwrap(), Path::new("checkpoints/step-000040"));
        hold.mark_best(80).unwrap();
        assert_eq!(hold.prune(Keep::default()).unwrap(), [40]);
        let message = hold.job().checkpoint(20).unwrap_err().to_string();
        assert!(message.contains("80, 1000000"), "{message}");
        assert!(hold.mark_best(20).is_err());
    }

    #[test]
    fn what_a_killed_process_left_is_cleared_by_the_next_holder_and_not_by_a_reader() {
        let runs = tempfile::tempdir().unwrap();
        let hold = held(runs.path());
        write(&hold, 20, "twenty");
        write(&hold, 40, "forty");
        let (job, all) = (hold.job().clone(), hold.job().dir().join(CHECKPOINTS));
        // Killed while writing 60, while deleting 10, and between the two moves of writing 40 again.
        fs::create_dir(all.join(".partial-step-000060")).unwrap();
        fs::create_dir(all.join(".gone-step-000010")).unwrap();
        fs::rename(all.join("step-000040"), all.join(".old-step-000040")).unwrap();
        drop(hold);
        assert_eq!(steps(&Job::open(job.dir()).unwrap()), [20]);
        assert_eq!(files(&job).len(), 4, "a reader clears nothing away");
        let _hold = job.hold().unwrap();
        assert_eq!(files(&job), ["step-000020", "step-000040"]);
        assert_eq!(fs::read_to_string(all.join("step-000040/state.json")).unwrap(), "forty");
    }

    #[test]
    fn rewinding_takes_later_checkpoints_away() {
        let runs = tempfile::tempdir().unwrap();
        let hold = held(runs.path());
        for step in [20, 40, 60] {
            write(&hold, step, "");
        }
        hold.mark_best(60).unwrap();
        hold.rewind(40).unwrap();
        assert_eq!(steps(hold.job()), [20, 40]);
        assert_eq!(hold.job().best_checkpoint().unwrap(), None);
    }
}
