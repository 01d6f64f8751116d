//! The thread that has the records open: does what the workbench asks of the store, in the order asked, by the actions that the
//! verbs call too, and tells when another process has changed something.

mod forms;

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::Path;
use std::process::Child;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::actions::judge;
use crate::actions::records::{self, Keeper, Query, State, Status, Store, stats};
use crate::actions::rehearsal;
use crate::actions::{ActionError, Context, prompts, runs};
use crate::app::wish::System;
use crate::app::{Act, Acted, Ask, Msg, Opened, Tally};
use forms::{after, judgement, line, marks, recording, rehearsed, row, version};

/// How often another process's changes are looked for.
const PULSE: Duration = Duration::from_millis(200);
/// Where answers go.
pub type Tell = Arc<dyn Fn(Msg) + Send + Sync>;

/// The thread, as the workbench sees it.
pub struct Desk {
    asks: Option<Sender<Ask>>,
    thread: Option<JoinHandle<()>>,
}

impl Desk {
    /// Starts the thread. The store is opened in it, so that the first frame does not wait for it.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(context: Context, tell: Tell) -> std::io::Result<Self> {
        let (asks, queue) = channel();
        let thread = thread::Builder::new().name("desk".into()).spawn(move || match context.store() {
            Ok(store) => Worker::new(context, store, tell).run(&queue),
            Err(error) => tell(Msg::NoStore(error.to_string())),
        })?;
        Ok(Self { asks: Some(asks), thread: Some(thread) })
    }

    /// Asks; the answer comes as a message.
    pub fn ask(&self, ask: Ask) {
        if let Some(asks) = &self.asks {
            // A thread that is gone has said why.
            let _ = asks.send(ask);
        }
    }
}

impl Drop for Desk {
    /// Waits until everything that was asked is done: what was to be saved is on the disk then.
    fn drop(&mut self) {
        self.asks = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the thread works with.
pub struct Worker {
    context: Context,
    store: Store,
    /// Keeps the log of what is written short; none where the database refuses that, and looks after it itself.
    keeper: Option<Keeper>,
    tell: Tell,
    /// Revisions that this session wrote over revisions: an editor that has not yet heard of its last save names the one before.
    newer: HashMap<i64, i64>,
    /// Those of them over which only marks were put: an editor that was opened meanwhile has the marks from before.
    marked: HashSet<i64>,
    pulse: i64,
    newest: i64,
    told: Tally,
}

impl Worker {
    /// Works on an opened store.
    #[must_use]
    pub fn new(context: Context, store: Store, tell: Tell) -> Self {
        let pulse = store.pulse().unwrap_or_default();
        let newest = store.newest().unwrap_or_default();
        let keeper = Keeper::of(&store).ok();
        Self {
            context,
            store,
            keeper,
            tell,
            newer: HashMap::new(),
            marked: HashSet::new(),
            pulse,
            newest,
            told: Tally::default(),
        }
    }

    fn run(mut self, queue: &Receiver<Ask>) {
        let mut waiting: VecDeque<Ask> = VecDeque::new();
        let mut looked = Instant::now();
        let mut stale = true;
        loop {
            let patience = PULSE.saturating_sub(looked.elapsed());
            let next = match waiting.pop_front() {
                Some(ask) => Ok(ask),
                None if stale => queue.recv_timeout(Duration::ZERO),
                None => queue.recv_timeout(patience),
            };
            match next {
                Ok(ask) => {
                    waiting.extend(queue.try_iter());
                    // What a later letter of a filter asks makes the earlier one's answer useless.
                    let newer = |other: &Ask| matches!(other, Ask::Find { number, .. } if *number > 0);
                    if !(newer(&ask) && waiting.iter().any(newer)) {
                        stale |= writes(&ask);
                        self.answer(ask);
                    }
                }
                Err(RecvTimeoutError::Timeout) if stale => {
                    stale = false;
                    self.tally();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if looked.elapsed() >= PULSE {
                looked = Instant::now();
                stale |= self.listen();
            }
        }
    }

    fn say(&self, msg: Msg) {
        (self.tell)(msg);
    }

    /// Does one thing and tells what came of it.
    pub fn answer(&mut self, ask: Ask) {
        let wrote = writes(&ask);
        if let Err(error) = self.try_answer(ask) {
            self.say(Msg::Failed(error.to_string()));
        }
        if wrote {
            if let Some(keeper) = &mut self.keeper {
                keeper.committed();
            }
            self.own();
            self.say(Msg::Written);
        }
    }

    /// Lets a model draft records in a process of its own, and tells when it is done.
    fn draft(&self, records: &[i64], system: &System) -> Result<(), ActionError> {
        let run = match system {
            System::Base => None,
            System::Run(run) => Some(run.as_str()),
        };
        let child = records::draft::start(self.context.project.root(), records, run)?;
        let tell = Arc::clone(&self.tell);
        let wait = move || tell(drafted(child));
        thread::Builder::new().name("drafts".into()).spawn(wait).map_err(|error| {
            ActionError::Refused(format!("no thread could be started to wait for the drafts: {error}"))
        })?;
        Ok(())
    }

    /// The next of what a query finds that has a finding; from the first on again where there is none behind.
    fn next_flagged(&self, query: &str, after: i64) -> Result<Option<i64>, ActionError> {
        // A filter that is none shows what the one before it found, and that is not known here.
        let Ok(query) = Query::parse(&format!("{query} flag:any")) else { return Ok(None) };
        let flagged = self.store.ids(&query)?;
        let next = flagged.iter().find(|id| **id > after).or(flagged.first());
        Ok(next.copied().filter(|id| *id != after))
    }

    fn try_answer(&mut self, ask: Ask) -> Result<(), ActionError> {
        match ask {
            Ask::Find { number, query } => {
                let ids = match Query::parse(&query) {
                    Ok(query) => Ok(self.store.ids(&query)?),
                    Err(error) => Err(error.to_string()),
                };
                self.say(Msg::Found { number, ids });
            }
            Ask::Rows(ids) => {
                let rows = records::rows(&self.store, &ids)?;
                self.say(Msg::Rows(rows.into_iter().map(row).collect()));
            }
            Ask::Open(id) => self.open(id)?,
            Ask::Act { act, records, seconds } => self.act(&act, &records, seconds)?,
            Ask::Preview { act, records } => {
                let (would, refused) = self.preview(&act, &records)?;
                self.say(Msg::Preview { act, records, would, refused });
            }
            Ask::Save { record, base, mut after, seconds, then_accept } => {
                let base = self.newest_of(record, base, &mut after)?;
                self.save(record, base, *after, seconds, then_accept)?;
            }
            Ask::Undo { redo } => self.undo(redo)?,
            Ask::Claim { record, release } => {
                if let Some(record) = release {
                    self.store.release(record)?;
                }
                if let Some(record) = record {
                    self.claim(record)?;
                }
            }
            Ask::Lend(record) => {
                self.store.release(record)?;
                self.say(Msg::Lent(record));
            }
            Ask::NextMine => {
                let next = self.store.next(None)?;
                self.say(Msg::GoTo(next.map(|record| record.id)));
            }
            Ask::NextFlagged { query, after } => self.say(Msg::Flagged(self.next_flagged(&query, after)?)),
            Ask::History(id) => {
                let lines = records::show(&self.store, id, true)?.history.iter().map(line).collect();
                self.say(Msg::History { record: id, lines });
            }
            Ask::Drafts { records, system } => self.draft(&records, &system)?,
            Ask::Systems => {
                let names = runs::systems(&self.context)?;
                let systems = std::iter::once(System::Base).chain(names.into_iter().map(System::Run));
                self.say(Msg::Systems(systems.collect()));
            }
            Ask::Questions => self.say(Msg::Questions(records::questions(&self.store)?)),
            Ask::Recordings => {
                let all = rehearsal::list(&self.context)?;
                self.say(Msg::Recordings(all.into_iter().map(recording).collect()));
            }
            Ask::Rehearsed(recording) => rehearsal::keep(&self.context, &rehearsed(*recording))?,
            Ask::Judge(judged) => {
                judge::judge(&mut self.store, &judgement(*judged))?;
            }
            Ask::Prompts => self.prompts()?,
            Ask::PromptSave { name, text } => {
                let name = prompts::save(&self.context, &name, &text)?;
                self.say(Msg::PromptSaved(name));
            }
            Ask::PromptDraft { name, text } => prompts::keep_draft(&self.context, &name, &text)?,
            Ask::PromptUse(name) => {
                prompts::choose(&mut self.context, &name)?;
                self.say(Msg::Note(format!("the project uses {name} from now on")));
                self.prompts()?;
            }
            Ask::PromptExamples(ids) => {
                prompts::set_examples(&mut self.context, &self.store, &ids)?;
                self.prompts()?;
            }
            Ask::Names => {
                let counts = self.store.counts()?;
                let names = |counts: Vec<(String, usize)>| {
                    counts.into_iter().map(|(name, _)| name).filter(|name| name != "-").collect()
                };
                let (categories, people) = (names(counts.category), names(counts.author));
                self.say(Msg::Names { categories, people });
            }
        }
        Ok(())
    }

    /// Tells the versions of the template as the project has them now, and what was written and never saved.
    fn prompts(&mut self) -> Result<(), ActionError> {
        self.context = Context::find(self.context.project.root(), None)?;
        let saved = prompts::versions(&self.context)?;
        let versions = saved.into_iter().chain(prompts::unsaved(&self.context)?).map(version).collect();
        self.say(Msg::Prompts { versions, examples: prompts::examples(&self.context)? });
        Ok(())
    }

    fn open(&self, id: i64) -> Result<(), ActionError> {
        match records::show(&self.store, id, false) {
            Ok(shown) => {
                let ours = self.store.claims()?.iter().any(|claim| claim.record == id && claim.ours);
                self.say(Msg::Opened(Box::new(Opened {
                    record: shown.record,
                    flags: shown.flags,
                    taken: shown.taken.filter(|_| !ours),
                    conflicts: shown.conflicts,
                })));
                Ok(())
            }
            Err(ActionError::Store(records::StoreError::NoRecord(_))) => {
                self.say(Msg::Gone(id));
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn claim(&mut self, record: i64) -> Result<(), ActionError> {
        match self.store.claim(record) {
            Err(records::StoreError::Taken { record, author }) => self.say(Msg::Taken { record, by: author }),
            claimed => claimed?,
        }
        Ok(())
    }

    /// The revision that this session has made of one since, with the marks that it put on the record meanwhile in `after`.
    fn newest_of(&self, record: i64, mut base: i64, after: &mut State) -> Result<i64, ActionError> {
        let mut marked = false;
        while let Some(newer) = self.newer.get(&base) {
            marked |= self.marked.contains(&base);
            base = *newer;
        }
        if marked {
            let head = self.store.get(record)?.state;
            (after.category, after.split, after.assignee) = (head.category, head.split, head.assignee);
        }
        Ok(base)
    }

    fn act(&mut self, act: &Act, ids: &[i64], seconds: Option<f64>) -> Result<(), ActionError> {
        let before = match (act, ids) {
            (Act::Category(_) | Act::Split(_) | Act::Assign(_), [only]) => Some(self.store.get(*only)?.revision),
            _ => None,
        };
        let outcome = act_on(&mut self.store, act, ids, seconds)?;
        if let (Some(before), Some((_, revision))) = (before, outcome.done.changed.first()) {
            self.newer.insert(before, *revision);
            self.marked.insert(before);
        }
        self.say(Msg::Acted(Acted {
            words: format!("{}: {} records", act.words(), outcome.done.changed.len()),
            changed: outcome.done.changed.iter().map(|(id, _)| *id).collect(),
            refused: outcome.refused,
            conflicts: outcome.done.conflicts,
            tell: ids.len() > 1,
        }));
        Ok(())
    }

    /// How many records an act would change, and on how many it could not be done.
    fn preview(&self, act: &Act, ids: &[i64]) -> Result<(usize, usize), ActionError> {
        let (mut would, mut refused) = (0, 0);
        for &id in ids {
            let state = self.store.get(id)?.state;
            match after(act, &state) {
                Ok(after) => would += usize::from(after != state),
                Err(_) => refused += 1,
            }
        }
        Ok((would, refused))
    }

    fn save(
        &mut self,
        record: i64,
        base: i64,
        after: State,
        seconds: Option<f64>,
        accept: bool,
    ) -> Result<(), ActionError> {
        let mut outcome = records::save(&mut self.store, record, base, after, accept, seconds)?;
        if let Some((_, revision)) = outcome.done.changed.first() {
            self.newer.insert(base, *revision);
            self.say(Msg::Saved { record, revision: *revision });
        }
        if let Some(conflict) = outcome.done.conflicts.pop() {
            self.say(Msg::Conflict(Box::new(conflict)));
        }
        if !outcome.refused.is_empty() {
            let (changed, conflicts) = (vec![record], Vec::new());
            let refused = outcome.refused;
            self.say(Msg::Acted(Acted { words: String::new(), changed, refused, conflicts, tell: false }));
        }
        Ok(())
    }

    fn undo(&mut self, redo: bool) -> Result<(), ActionError> {
        let undone = if redo { records::redo(&mut self.store, 1)? } else { records::undo(&mut self.store, 1)? };
        let Some(undone) = undone.into_iter().next() else {
            self.say(Msg::Note(if redo { "nothing to do again" } else { "nothing to take back" }.into()));
            return Ok(());
        };
        let changed: Vec<i64> = undone.done.changed.iter().map(|(id, _)| *id).collect();
        let what = match &changed[..] {
            [] => "no record".to_owned(),
            [only] => format!("record {only}"),
            many => format!("{} records", crate::text::count(many.len() as u64)),
        };
        let note = if undone.note.is_empty() { String::new() } else { format!(" ({})", undone.note) };
        let again = if redo { "done again" } else { "taken back" };
        let words = format!("{again}: {}{note}, {what}", undone.cause);
        let conflicts = undone.done.conflicts;
        self.say(Msg::Acted(Acted { words, changed, refused: Vec::new(), conflicts, tell: true }));
        Ok(())
    }

    /// What this session itself has changed since it was told last.
    fn own(&mut self) {
        self.changes();
        // One's own writing does not move one's own pulse, but somebody else's may have come between.
        self.pulse = self.store.pulse().unwrap_or(self.pulse);
    }

    /// Looks whether another process has written; whether it has.
    fn listen(&mut self) -> bool {
        match self.store.pulse() {
            Ok(pulse) if pulse != self.pulse => {
                self.pulse = pulse;
                self.changes();
                true
            }
            _ => false,
        }
    }

    /// Tells the records of every act that is new.
    fn changes(&mut self) {
        let Ok(newest) = self.store.newest() else { return };
        // A claim or a lint is no act, and shows in the rows all the same.
        let changed = self.store.changed(self.newest).unwrap_or_default();
        self.newest = newest;
        self.say(Msg::Changed(changed));
    }

    fn tally(&mut self) {
        let Ok(counts) = self.store.statuses() else { return };
        let of = |wanted: &[Status]| {
            counts.iter().filter(|(status, _)| wanted.contains(status)).map(|(_, count)| count).sum()
        };
        let tally = Tally {
            records: of(Status::ALL),
            gold: of(&[Status::Gold]),
            waiting: of(&[Status::Inbox, Status::Draft]),
            target: stats::TARGET,
        };
        if tally != self.told {
            self.told = tally;
            self.say(Msg::Tally(tally));
        }
    }
}

/// Whether something is written, so that there is an answer to wait for.
fn writes(ask: &Ask) -> bool {
    matches!(ask, Ask::Act { .. } | Ask::Save { .. } | Ask::Undo { .. })
}

/// Waits for `togi draft` and says what came of it.
fn drafted(child: Child) -> Msg {
    match child.wait_with_output() {
        Ok(out) => {
            let words = String::from_utf8_lossy(&out.stderr);
            let first = words.lines().find(|line| line.starts_with("drafted"));
            match first {
                Some(words) => Msg::Note(words.to_owned()),
                None => Msg::Failed(words.trim().to_owned()),
            }
        }
        Err(error) => Msg::Failed(format!("the drafts' process cannot be waited for: {error}")),
    }
}

/// Does something to records through the action of its verb.
///
/// # Errors
/// As the action.
pub fn act_on(
    store: &mut Store,
    act: &Act,
    ids: &[i64],
    seconds: Option<f64>,
) -> Result<records::Outcome, ActionError> {
    match act {
        Act::Accept => records::accept(store, ids, seconds),
        Act::Reject(why) => records::reject(store, ids, why, seconds),
        act => records::mark(store, ids, &marks(act)),
    }
}

/// Opens the project for the thread anew: the context is not shared between threads.
///
/// # Errors
/// As [`Context::find`].
pub fn context(root: &Path) -> Result<Context, ActionError> {
    Context::find(root, None)
}
