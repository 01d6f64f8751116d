//! Trying a template: pinned records down, systems and templates across, and what each cell is answered.

use std::time::Duration;

use super::super::wish::{Cell, How, Question, System, Wish};
use super::super::{App, Effect};
use super::Right;

/// Records tried at most at once, and columns: what can be read side by side.
pub(super) const ROWS: usize = 3;
const COLUMNS: usize = 4;
/// The temperature of answers to a question that is asked more than once.
const TEMPERATURE: f64 = 0.8;

/// One of the columns of a trial.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its heading.
    pub title: String,
    /// Who answers.
    pub system: System,
    /// The template.
    pub template: String,
    /// Which random numbers.
    pub stream: u64,
}

/// Answers of several systems to several records.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trial {
    /// Records, from above.
    pub rows: Vec<i64>,
    /// What is across.
    pub columns: Vec<Column>,
    /// Answers, row by row, and whether each is done.
    pub answers: Vec<(String, bool)>,
}

impl App {
    /// Asks the models: pinned records (or the one shown), the text and what is tried beside it, base and tuned.
    pub(super) fn try_out(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        let mut rows = self.prompt.pinned.clone();
        if rows.is_empty() {
            rows.extend(self.prompt.records.get(self.prompt.at));
        }
        rows.truncate(ROWS);
        if rows.is_empty() {
            self.note("there is no record to try it on", now);
            return;
        }
        if self.prompt.field.is_none() {
            self.note("the template is still being read", now);
            return;
        }
        let mut templates = vec![(self.prompt.name.clone(), self.prompt.text())];
        for name in &self.prompt.beside {
            // Beside its own version the text is another only where something was written.
            let (own, changed) = (*name == self.prompt.name, self.prompt.is_changed());
            let version = self.prompt.versions.iter().find(|version| version.name == *name && (!own || changed));
            templates.extend(version.map(|version| (version.name.clone(), version.text.clone())));
            if let (true, Some((title, _))) = (own && changed, templates.first_mut()) {
                *title = format!("{name}, written");
            }
        }
        let tuned = self.compare.sides[1].clone();
        let mut systems = vec![System::Base];
        if tuned != System::Base {
            systems.push(tuned);
        }
        let mut columns = Vec::new();
        for (name, template) in &templates {
            for system in &systems {
                for stream in 0..self.prompt.times() {
                    let seed = if self.prompt.times() > 1 { format!(" #{}", stream + 1) } else { String::new() };
                    let title = format!("{name} {}{seed}", system.name());
                    columns.push(Column { title, system: system.clone(), template: template.clone(), stream });
                }
            }
        }
        if columns.len() > COLUMNS {
            self.note(format!("{} columns are too many to read: the first {COLUMNS} are tried", columns.len()), now);
            columns.truncate(COLUMNS);
        }
        let cells: Vec<Cell> = rows
            .iter()
            .flat_map(|id| {
                columns.iter().map(|column| Cell {
                    question: Question::Record(*id),
                    system: column.system.clone(),
                    template: Some(column.template.clone()),
                    stream: column.stream,
                })
            })
            .collect();
        let temperature = if self.prompt.times() > 1 { TEMPERATURE } else { 0.0 };
        let answers = vec![(String::new(), false); cells.len()];
        self.prompt.trial = Trial { rows, columns, answers };
        self.prompt.right = Right::Trial;
        self.prompt.scroll.home();
        let wish = Wish::Answer { cells, how: How { temperature, ..How::default() } };
        self.prompt.trying = Some(self.wish(wish, effects));
    }
}
