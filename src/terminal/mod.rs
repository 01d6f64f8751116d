//! The workbench on a terminal: one task that owns the [`App`], draws it, and carries out its effects.
//!
//! The task waits for signals, for what the threads and workers tell, for keys, and for the time the workbench wants to be
//! woken, in that order, and draws when something has changed. A frame is one write between the two halves of a synchronised
//! update, of no more bytes than it needs (`backend`); one that changes nothing is none. Whether the terminal is dark or light is
//! asked once, and the answer picked out of the keys (`ground`). Where the terminal goes away, what is being written is saved and
//! the process ends; what runs in workers goes on.

mod backend;
mod companions;
pub mod desk;
mod evaluations;
mod ground;
mod guard;
mod runs;
mod verb;

pub use guard::{Guard, tell_panics};

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossterm::event::{Event, EventStream, KeyCode, KeyEvent, KeyEventKind, MouseButton, MouseEventKind};
use futures_util::StreamExt;
use ratatui::Terminal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::actions::records::editor;
use crate::actions::{ActionError, Context};
use crate::app::{App, Effect, Msg};
use crate::config::{Config, SettingsError};
use crate::keymap::{self, Keymap, KeymapError};
use crate::theme::{BUILT_IN, Colours, Theme};
use crate::view::{self, Places};
use backend::Sparing;
use companions::Companions;
use desk::Desk;
use evaluations::Evaluations;
use ground::{Ground, Heard};
use guard::write_whole;
use runs::Runs;

/// Why the workbench did not open, or had to close.
#[derive(Debug, thiserror::Error)]
pub enum TerminalError {
    #[error(transparent)]
    Action(#[from] ActionError),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Keymap(#[from] KeymapError),
    #[error("the terminal cannot be used: {0}")]
    Terminal(#[from] std::io::Error),
    #[error("the workbench needs a terminal; togi --help lists the verbs that do without")]
    NoTerminal,
}

/// Opens the workbench on the project and returns when the person leaves.
///
/// # Errors
/// When settings, keys or theme say what cannot be, or there is no terminal.
pub fn open(context: Context) -> Result<(), TerminalError> {
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Err(TerminalError::NoTerminal);
    }
    let keymap = Keymap::path().map_or_else(|| Ok(Keymap::default()), |path| Keymap::load(&path))?;
    let look = Look::new(&context.config)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tell_panics();
    runtime.block_on(run(context, keymap, look))
}

/// Every command and its keys, as a commented `keymap.toml`.
#[must_use]
pub fn documented_keys() -> String {
    Keymap::default().documented()
}

/// Where the user's `keymap.toml` lies.
#[must_use]
pub fn keymap_path() -> Option<std::path::PathBuf> {
    Keymap::path()
}

/// How the screen looks.
struct Look {
    theme: Theme,
    colours: Colours,
    ascii: bool,
    /// Whether the terminal is to say what it is like.
    ask: bool,
}

impl Look {
    fn new(config: &Config) -> Result<Self, SettingsError> {
        let colours = Colours::detect(&std::io::stdout());
        // The console and what calls itself dumb would show the question.
        let silent = std::env::var("TERM").is_ok_and(|term| matches!(term.as_str(), "dumb" | "linux" | "Eterm"));
        let ask = config.theme == "auto" && colours != Colours::None && !silent;
        let name = if config.theme == "auto" { "dark" } else { &config.theme };
        let ascii = config.ascii.unwrap_or_else(only_ascii);
        let theme = Theme::load(name, colours)?.with_ascii(ascii);
        Ok(Self { theme, colours, ascii, ask })
    }

    fn set(&mut self, name: &str) -> Result<(), SettingsError> {
        self.theme = Theme::load(name, self.colours)?.with_ascii(self.ascii);
        Ok(())
    }

    /// The next of the themes that come with togi.
    fn next(&mut self) -> Result<(), SettingsError> {
        self.ask = false;
        let at = BUILT_IN.iter().position(|(name, _)| *name == self.theme.name).map_or(0, |at| at + 1);
        self.set(BUILT_IN[at % BUILT_IN.len()].0)
    }
}

/// Whether terminal or locale show no more than ASCII.
fn only_ascii() -> bool {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
    let narrow = locale.is_some_and(|locale| {
        let locale = locale.to_lowercase();
        !locale.contains("utf-8") && !locale.contains("utf8")
    });
    let term = set("TERM").unwrap_or_default();
    narrow || matches!(term.as_str(), "dumb" | "linux" | "vt100" | "vt220")
}

/// How long keys wait for the first records; where there are none by then, something is wrong, and keys must be heard.
const FIRST_ANSWER: Duration = Duration::from_secs(1);
/// How long keys are kept back that begin like the terminal's answer on its colours: it sends that at once.
const HELD: Duration = Duration::from_millis(250);
/// How long after the question an answer may come; who leaves sooner does not want it typed into a shell.
const ANSWERED: Duration = Duration::from_millis(400);

/// Ways in which the loop ends.
enum End {
    /// The person left.
    Left,
    /// The terminal is gone.
    Gone,
}

async fn run(context: Context, keymap: Keymap, look: Look) -> Result<(), TerminalError> {
    let guard = Guard::take(context.config.mouse)?;
    let (tell, told) = unbounded_channel();
    let mut bench = Bench::new(context, keymap, look, guard, tell)?;
    let ended = bench.work(told).await;
    if matches!(ended, Ok(End::Left)) {
        bench.hear_out();
    }
    let Bench { guard, app, desk, .. } = bench;
    match ended {
        Ok(End::Left) => drop(guard),
        // What is being written was given to the desk; dropping that waits until it is on the disk.
        Ok(End::Gone) | Err(_) => guard.abandon(),
    }
    drop(app);
    drop(desk);
    ended.map(drop)
}

/// Everything the loop works with.
struct Bench {
    context: Context,
    app: App,
    look: Look,
    screen: Terminal<Sparing>,
    /// Where things stand on the screen, for the mouse.
    places: Places,
    guard: Guard,
    desk: Desk,
    companions: Companions,
    runs: Runs,
    evaluations: Evaluations,
    events: Option<EventStream>,
    ground: Ground,
    /// When keys are no longer kept back for an answer, where some are.
    held_until: Option<Duration>,
    started: Instant,
}

impl Bench {
    fn new(
        context: Context,
        keymap: Keymap,
        look: Look,
        guard: Guard,
        tell: UnboundedSender<Msg>,
    ) -> Result<Self, TerminalError> {
        let started = Instant::now();
        let screen = Terminal::new(Sparing::default())?;
        let size = crossterm::terminal::size()?;
        let author = crate::actions::records::author()?;
        let (app, effects) = App::new(context.project.name().to_owned(), author, keymap, size);
        let told = tell.clone();
        let companions = Companions::new(context.project.root(), Arc::new(move |msg| drop(told.send(msg))));
        let runs = Runs::start(&context, tell.clone())?;
        let evaluations = Evaluations::start(context.project.root(), tell.clone())?;
        let desk = Desk::start(desk::context(context.project.root())?, Arc::new(move |msg| drop(tell.send(msg))))?;
        let mut bench = Self {
            context,
            app,
            look,
            screen,
            places: Places::default(),
            guard,
            desk,
            companions,
            runs,
            evaluations,
            events: None,
            ground: Ground::default(),
            held_until: None,
            started,
        };
        bench.draw()?;
        for effect in effects {
            bench.carry_out(effect)?;
        }
        Ok(bench)
    }

    async fn work(&mut self, mut told: UnboundedReceiver<Msg>) -> Result<End, TerminalError> {
        let mut hang_up = signal(SignalKind::hangup())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        self.ask_the_terminal()?;
        self.events = Some(EventStream::new());
        loop {
            // Keys that were typed while the program starts wait for the records that they are meant for.
            let listens = self.app.data.ready || self.started.elapsed() >= FIRST_ANSWER;
            let first = (!listens).then_some(FIRST_ANSWER);
            let wake = [self.app.wake(), self.held_until, first].into_iter().flatten().min();
            let wake = wake.map(|at| tokio::time::Instant::from_std(self.started + at));
            let Some(events) = &mut self.events else { return Ok(End::Gone) };
            tokio::select! {
                biased;
                _ = hang_up.recv() => {
                    self.close()?;
                    return Ok(End::Gone);
                }
                _ = terminate.recv() => {
                    self.close()?;
                    return Ok(End::Left);
                }
                _ = interrupt.recv() => {
                    self.close()?;
                    return Ok(End::Left);
                }
                Some(msg) = told.recv() => {
                    self.take(msg)?;
                    while let Ok(msg) = told.try_recv() {
                        self.take(msg)?;
                    }
                }
                event = events.next(), if listens => {
                    let mut batch = vec![event];
                    // What came at once is taken at once: a frame shows all of it. Not by the stream: asking that without
                    // waiting would leave it with nobody to wake.
                    while crossterm::event::poll(Duration::ZERO).unwrap_or(false) {
                        batch.push(Some(crossterm::event::read()));
                    }
                    if !self.input(batch)? {
                        self.close()?;
                        return Ok(End::Gone);
                    }
                }
                () = sleep_until(wake), if wake.is_some() => {
                    if self.held_until.take_if(|until| *until <= self.started.elapsed()).is_some() {
                        let keys = self.ground.give_up();
                        self.typed(keys.into_iter().map(Event::Key).collect())?;
                    }
                    self.take(Msg::Wake)?;
                }
            }
            if self.app.is_quitting() {
                return Ok(End::Left);
            }
            if self.app.take_dirty() {
                self.draw()?;
            }
        }
    }

    /// Takes a batch of events; false where the terminal gives none any more.
    fn input(&mut self, batch: Vec<Option<std::io::Result<Event>>>) -> Result<bool, TerminalError> {
        let mut events = Vec::with_capacity(batch.len());
        for event in batch {
            match event {
                Some(Ok(Event::Key(key))) => match self.ground.hear(key) {
                    Heard::Keys(keys) => events.extend(keys.into_iter().map(Event::Key)),
                    Heard::Answer(light) => self.look_like(light)?,
                },
                Some(Ok(event)) => events.push(event),
                _ => return Ok(false),
            }
        }
        let now = self.started.elapsed();
        self.held_until = self.ground.holds().then(|| self.held_until.unwrap_or(now + HELD));
        self.typed(events)?;
        Ok(true)
    }

    /// Takes what was typed.
    fn typed(&mut self, events: Vec<Event>) -> Result<(), TerminalError> {
        let mut committed = String::new();
        let mut last: Option<KeyEvent> = None;
        for event in events {
            if let Event::Key(key) = event
                && key.kind != KeyEventKind::Release
                && let Some(c) = keymap::letter(key)
            {
                committed.push(c);
                last = Some(key);
                continue;
            }
            self.flush(&mut committed, &mut last)?;
            match event {
                Event::Key(key) if key.kind != KeyEventKind::Release => self.take(Msg::Key(key))?,
                Event::Mouse(mouse) => match mouse.kind {
                    MouseEventKind::ScrollDown => self.take(Msg::Wheel(true))?,
                    MouseEventKind::ScrollUp => self.take(Msg::Wheel(false))?,
                    MouseEventKind::Down(MouseButton::Left) => {
                        if let Some(spot) = self.places.at(mouse.column, mouse.row) {
                            self.take(Msg::Click(spot))?;
                        }
                    }
                    _ => {}
                },
                Event::Paste(text) => self.take(Msg::Paste(text))?,
                Event::Resize(columns, rows) => self.take(Msg::Resize(columns, rows))?,
                _ => {}
            }
        }
        self.flush(&mut committed, &mut last)
    }

    /// Gives letters that came together to the workbench: what an input method committed as one text, what was typed key by key.
    fn flush(&mut self, committed: &mut String, last: &mut Option<KeyEvent>) -> Result<(), TerminalError> {
        let text = std::mem::take(committed);
        let last = last.take();
        match (text.chars().count(), last) {
            (0, _) => Ok(()),
            (1, Some(key)) => self.take(Msg::Key(key)),
            (_, Some(key)) if text.is_ascii() => {
                text.chars().try_for_each(|c| self.take(Msg::Key(KeyEvent::new(KeyCode::Char(c), key.modifiers))))
            }
            _ => self.take(Msg::Commit(text)),
        }
    }

    fn take(&mut self, msg: Msg) -> Result<(), TerminalError> {
        let now = self.started.elapsed();
        for effect in self.app.update(msg, now) {
            self.carry_out(effect)?;
        }
        Ok(())
    }

    /// Saves what is being written.
    fn close(&mut self) -> Result<(), TerminalError> {
        let now = self.started.elapsed();
        let mut effects = Vec::new();
        self.app.command(keymap::Command::Leave, now, &mut effects);
        effects.into_iter().try_for_each(|effect| self.carry_out(effect))
    }

    fn carry_out(&mut self, effect: Effect) -> Result<(), TerminalError> {
        match effect {
            Effect::Store(ask) => self.desk.ask(ask),
            Effect::Wish { number, wish } => self.companions.ask(number, wish),
            Effect::Copy(text) => {
                let mut out = Vec::new();
                crossterm::queue!(out, crossterm::clipboard::CopyToClipboard::to_clipboard_from(text))?;
                write_whole(&out)?;
            }
            Effect::EditOutside(record) => self.edit_outside(record)?,
            Effect::Repaint => {
                self.screen.clear()?;
            }
            Effect::NextTheme => match self.look.next() {
                Ok(()) => self.take(Msg::Note(format!("theme: {}", self.look.theme.name)))?,
                Err(error) => self.take(Msg::Failed(error.to_string()))?,
            },
            Effect::Train(effect) => self.runs.ask(effect),
            Effect::Evaluate(effect) => self.evaluations.ask(effect),
            Effect::Quit => {}
        }
        Ok(())
    }

    /// Draws a frame and writes it whole.
    fn draw(&mut self) -> Result<(), TerminalError> {
        const BEGIN: &[u8] = b"\x1b[?2026h";
        const END: &[u8] = b"\x1b[?2026l";
        let (app, theme) = (&self.app, &self.look.theme);
        let places = &mut self.places;
        self.screen.draw(|frame| *places = view::draw(frame, app, theme))?;
        let written = self.screen.backend_mut().take();
        if written.is_empty() {
            return Ok(());
        }
        Ok(write_whole(&[BEGIN, &written, END].concat())?)
    }

    /// Asks the terminal whether it is dark or light, once, after the first frame. The answer comes the way that keys come.
    fn ask_the_terminal(&mut self) -> Result<(), TerminalError> {
        if self.look.ask {
            write_whole(ground::ASK)?;
            self.ground.asked();
        }
        Ok(())
    }

    /// The terminal has said whether it is light.
    fn look_like(&mut self, light: Option<bool>) -> Result<(), TerminalError> {
        // A theme that was chosen meanwhile stays.
        if light == Some(true) && self.look.ask {
            self.look.set("light")?;
            self.draw()?;
        }
        Ok(())
    }

    /// Waits a moment for an answer that is on its way, so that the shell does not get it.
    fn hear_out(&mut self) {
        self.events = None;
        while self.ground.is_awaited()
            && let Some(rest) = ANSWERED.checked_sub(self.started.elapsed())
            && crossterm::event::poll(rest).unwrap_or(false)
        {
            match crossterm::event::read() {
                Ok(Event::Key(key)) => drop(self.ground.hear(key)),
                Ok(_) => {}
                Err(_) => return,
            }
        }
    }

    /// Lends the terminal to the person's editor with a record in it, by the action of `togi edit`.
    fn edit_outside(&mut self, record: i64) -> Result<(), TerminalError> {
        // The reader of keys would take the editor's.
        self.events = None;
        self.guard.lend();
        let how = editor::How::default();
        let edited = self.context.store().and_then(|mut store| editor::edit(&mut store, record, &how));
        self.guard.retake()?;
        self.screen.clear()?;
        self.events = Some(EventStream::new());
        match edited {
            Ok(None) => self.take(Msg::Note("nothing was changed".into())),
            Ok(Some(outcome)) => match outcome.done.conflicts.into_iter().next() {
                Some(conflict) => self.take(Msg::Conflict(Box::new(conflict))),
                None => self.take(Msg::Note(format!("record {record} is saved"))),
            },
            Err(error) => self.take(Msg::Failed(error.to_string())),
        }
    }
}

async fn sleep_until(at: Option<tokio::time::Instant>) {
    if let Some(at) = at {
        tokio::time::sleep_until(at).await;
    }
}
