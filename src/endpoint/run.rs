//! The loop that sends the prompts, waits, and hands over what comes.
//!
//! One task owns all of the state and decides alone what goes when: nothing is locked. Attempts are futures beside it
//! that know nothing of each other. A prompt that waits for another attempt keeps its place among the requests at once,
//! so that an endpoint in trouble gets fewer of them.

use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::oneshot;
use tokio::time::{sleep_until, timeout};

use super::answer::{Answer, Tally};
use super::client::{Attempt, Client};
use super::fault::Fault;
use super::pace::Pace;
use super::prompt::{self, Message};
use super::purse::{Bill, Gate, Purse, Spent};
use super::reply::Reply;
use super::settings::Settings;
use super::{Ending, Event, Failure, Progress, Summary, backoff};

/// Prompts in a row, without an answer between them, that fail with the very same words before the rest is spared.
const SAME_FAILURES: u32 = 3;
/// Seconds that the list of models may take, after the endpoint said that it has not the one asked for.
const MODELS_SECONDS: u64 = 10;

/// A prompt that is being asked.
#[derive(Debug, Clone, Copy)]
struct Task {
    /// Its place among the prompts.
    at: usize,
    /// Attempts made, the one under way included.
    attempts: u32,
    /// When the first one was sent.
    since: Instant,
    /// When the next one may go.
    due: Instant,
}

/// An attempt that goes now.
#[derive(Debug, Clone, Copy)]
struct Launch {
    task: Task,
    /// Money set aside for it.
    worst: f64,
    /// Tokens taken from the pace for it.
    guessed: f64,
}

/// A run under way.
pub(super) struct Run<'a> {
    settings: &'a Settings,
    prompts: &'a [Vec<Message>],
    events: Sender<Event>,
    start: Instant,
    /// The first prompt that was not yet sent.
    fresh: usize,
    /// Prompts that wait for another attempt.
    later: Vec<Task>,
    under_way: usize,
    failed: usize,
    retries: u64,
    /// The last failure's words and how many prompts in a row failed with them.
    same: (String, u32),
    pace: Pace,
    purse: Purse,
    tally: Tally,
    ending: Option<Ending>,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        settings: &'a Settings,
        prompts: &'a [Vec<Message>],
        before: Spent,
        events: Sender<Event>,
    ) -> Self {
        let start = Instant::now();
        Self {
            settings,
            prompts,
            events,
            start,
            fresh: 0,
            later: Vec::new(),
            under_way: 0,
            failed: 0,
            retries: 0,
            same: (String::new(), 0),
            pace: Pace::new(settings.requests_per_minute, settings.tokens_per_minute, start),
            purse: Purse::new(settings, before),
            tally: Tally::default(),
            ending: None,
        }
    }

    /// Asks until every prompt is answered or failed, something ends the run, or the other end of `stop` is dropped.
    pub(super) async fn carry_out(mut self, client: &Client, mut stop: oneshot::Receiver<()>) -> Summary {
        let mut under_way = FuturesUnordered::new();
        while self.ending.is_none() {
            let (launches, wake) = self.admit(Instant::now());
            for launch in launches {
                let body = self.messages(launch.task.at).map(|messages| prompt::body(self.settings, messages));
                under_way.push(async move { (launch, client.complete(&body.unwrap_or_default()).await) });
            }
            self.tell(Event::Progress(self.progress()));
            if under_way.is_empty() && wake.is_none() {
                break;
            }
            tokio::select! {
                biased;
                _ = &mut stop => self.ending = Some(Ending::Stopped),
                Some((launch, attempt)) = under_way.next() => self.settle(launch, attempt, Instant::now()),
                () = until(wake) => {}
            }
        }
        self.tell(Event::Progress(self.progress()));
        // Ends the connections: nobody waits for what is still under way.
        drop(under_way);
        self.purse.close();
        if let Some(Ending::Refused { fault, offered }) = &mut self.ending
            && fault.is_not_found()
        {
            tokio::select! {
                biased;
                _ = &mut stop => {}
                list = timeout(Duration::from_secs(MODELS_SECONDS), client.models()) => {
                    // Not every endpoint lists its models, and the refusal is told without.
                    *offered = list.ok().and_then(Result::ok).unwrap_or_default();
                }
            }
        }
        self.summary()
    }

    fn messages(&self, at: usize) -> Option<&'a [Message]> {
        self.prompts.get(at).map(Vec::as_slice)
    }

    /// Sends an event; a receiver that is gone has dropped `stop` too.
    fn tell(&self, event: Event) {
        let _ = self.events.send(event);
    }

    /// Decides what goes at `now`, and when to look again though nothing came; `None` for no time by itself.
    fn admit(&mut self, now: Instant) -> (Vec<Launch>, Option<Instant>) {
        let mut launches = Vec::new();
        loop {
            let waiting = self.later.iter().enumerate().min_by_key(|(_, task)| (task.due, task.at));
            let next_due = waiting.map(|(_, task)| task.due);
            let again = waiting.filter(|(_, task)| task.due <= now).map(|(place, task)| (place, *task));
            let has_room = self.under_way + self.later.len() < self.settings.concurrency;
            let task = match again {
                Some((_, task)) => task,
                None if has_room && self.fresh < self.prompts.len() => {
                    Task { at: self.fresh, attempts: 0, since: now, due: now }
                }
                None => return (launches, next_due),
            };
            let Some(messages) = self.messages(task.at) else { return (launches, next_due) };
            let (worst, guessed) = (self.purse.worst(messages), prompt::guessed_tokens(self.settings, messages));
            match self.purse.gate(worst) {
                Gate::Open => {}
                _ if self.under_way > 0 => return (launches, None),
                Gate::NoRequests => {
                    self.ending = Some(Ending::RequestCap { cap: self.settings.request_cap.unwrap_or_default() });
                    return (launches, None);
                }
                Gate::NoMoney | Gate::Wait => {
                    self.ending = Some(Ending::SpendCap {
                        cap: self.settings.spend_cap.unwrap_or_default(),
                        next: worst,
                        currency: self.settings.currency.clone(),
                    });
                    return (launches, None);
                }
            }
            let wait = self.pace.wait(guessed, now);
            if !wait.is_zero() {
                return (launches, now.checked_add(wait).or_else(|| now.checked_add(Duration::from_mins(1))));
            }
            match again {
                Some((place, _)) => drop(self.later.swap_remove(place)),
                None => self.fresh += 1,
            }
            self.pace.take(guessed);
            self.purse.set_aside(worst);
            self.under_way += 1;
            launches.push(Launch { task: Task { attempts: task.attempts + 1, ..task }, worst, guessed });
        }
    }

    /// Takes in what came of an attempt.
    fn settle(&mut self, launch: Launch, attempt: Attempt, now: Instant) {
        self.under_way = self.under_way.saturating_sub(1);
        match attempt.result {
            Ok(reply) => self.answered(launch, reply, attempt.seconds, now),
            Err(fault) => {
                let bill = fault.bill();
                self.purse.settle(launch.worst, bill);
                self.pace.settle(launch.guessed, if bill == Bill::Nothing { 0.0 } else { launch.guessed });
                self.unanswered(launch.task, fault, attempt.asked_wait, now);
            }
        }
    }

    fn answered(&mut self, launch: Launch, reply: Reply, seconds: f64, now: Instant) {
        let cost = reply.usage.and_then(|usage| self.purse.cost(usage));
        // Without usage an answer was billed all the same.
        self.purse.settle(launch.worst, cost.map_or(Bill::Unknown, Bill::Cost));
        let real = reply.usage.map_or(launch.guessed, |usage| usage.prompt as f64 + usage.completion as f64);
        self.pace.settle(launch.guessed, real);
        let mut notes = reply.notes;
        if cost.is_some_and(|cost| cost > launch.worst) {
            notes.push("The endpoint counts more tokens than the prompt and max_tokens allow.".to_owned());
        }
        let answer = Answer {
            text: reply.text,
            finish: reply.finish,
            refused: reply.refused,
            usage: reply.usage,
            latency_seconds: seconds,
            waited_seconds: now.saturating_duration_since(launch.task.since).as_secs_f64(),
            attempts: launch.task.attempts,
            cost,
            model: reply.model,
            notes,
        };
        self.tally.add(&answer);
        self.same.1 = 0;
        self.tell(Event::Answered { at: launch.task.at, answer });
    }

    fn unanswered(&mut self, task: Task, fault: Fault, asked: Option<Duration>, now: Instant) {
        if fault.is_of_all(self.tally.answers() > 0) {
            self.ending = Some(Ending::Refused { fault, offered: Vec::new() });
            return;
        }
        if fault.may_pass() {
            let most = Duration::from_secs_f64(self.settings.retry_after_max_seconds);
            if let Some(asked) = asked.filter(|asked| *asked > most) {
                self.ending = Some(Ending::AskedToWait { fault, seconds: asked.as_secs_f64() });
                return;
            }
            if let (Some(asked), Fault::Status { status: 429 | 503, .. }) = (asked, &fault) {
                // The limit is of the account and not of this prompt.
                self.pace.hold(now + asked);
            }
            if task.attempts <= self.settings.retries {
                self.again(task, fault, asked, now);
                return;
            }
        }
        let failure = Failure {
            attempts: task.attempts,
            waited_seconds: now.saturating_duration_since(task.since).as_secs_f64(),
            fault,
        };
        let words = failure.fault.to_string();
        self.same = if self.same.0 == words { (words, self.same.1 + 1) } else { (words, 1) };
        // A server in trouble may recover for the next prompt; one that cannot be reached, or that understands none,
        // not.
        let stays = !failure.fault.may_pass() || matches!(failure.fault, Fault::Connect { .. });
        if stays && self.same.1 >= SAME_FAILURES {
            self.ending = Some(Ending::Refused { fault: failure.fault.clone(), offered: Vec::new() });
        }
        self.failed += 1;
        self.tell(Event::Failed { at: task.at, failure });
    }

    /// Puts a prompt back for another attempt.
    fn again(&mut self, task: Task, fault: Fault, asked: Option<Duration>, now: Instant) {
        let base = Duration::from_secs_f64(self.settings.backoff_seconds);
        let most = Duration::from_secs_f64(self.settings.backoff_max_seconds);
        let jittered = backoff::jittered(task.attempts, base, most);
        // After what the endpoint asks for, and not at its very end, where all others come too.
        let wait = asked.map_or(jittered, |asked| asked + jittered.min(base));
        self.retries += 1;
        self.later.push(Task { due: now + wait, ..task });
        self.tell(Event::Retrying { at: task.at, attempts: task.attempts, wait_seconds: wait.as_secs_f64(), fault });
    }

    fn progress(&self) -> Progress {
        Progress {
            answered: self.tally.answers(),
            failed: self.failed,
            prompts: self.prompts.len(),
            under_way: self.under_way,
            waiting: self.later.len(),
            spent: self.purse.spent(),
            seconds: self.start.elapsed().as_secs_f64(),
        }
    }

    fn summary(self) -> Summary {
        let seconds = self.start.elapsed().as_secs_f64();
        let figures = self.tally.figures();
        Summary {
            left: self.prompts.len().saturating_sub(figures.answers + self.failed),
            failed: self.failed,
            requests: self.purse.sent(),
            retries: self.retries,
            seconds,
            tokens_per_second: if seconds > 0.0 { figures.completion_tokens as f64 / seconds } else { 0.0 },
            spent: self.purse.spent(),
            spent_unknown: self.purse.unknown(),
            currency: self.settings.currency.clone(),
            warnings: Vec::new(),
            ending: self.ending.unwrap_or(Ending::Done),
            figures,
        }
    }
}

/// Waits until a moment, for ever where there is none.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}
