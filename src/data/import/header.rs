//! The first row of a table: what its columns are called, and the rows under it as named fields.

use serde_json::Value;

use super::element::Fields;
use super::roles::Role;

/// The columns of a table.
#[derive(Clone, Debug)]
pub(super) struct Header {
    /// Names without the space around them, each once: a second `Answer` is `Answer (2)`.
    pub(super) names: Vec<String>,
    /// Columns that mean the same by their names: the first, and one more.
    twins: Vec<(usize, usize)>,
}

impl Header {
    /// Names the columns; one without a name is called by its number.
    pub(super) fn new<S: AsRef<str>>(cells: &[S]) -> Self {
        let mut names: Vec<String> = Vec::with_capacity(cells.len());
        let mut twins = Vec::new();
        for (i, cell) in cells.iter().enumerate() {
            let cell = cell.as_ref().trim();
            let own = if cell.is_empty() { format!("column {}", i + 1) } else { cell.to_owned() };
            let mut name = own.clone();
            let mut times = 1;
            while names.contains(&name) {
                times += 1;
                name = format!("{own} ({times})");
            }
            if times > 1
                && Role::of(&own).is_some()
                && let Some(first) = names.iter().position(|n| *n == own)
            {
                twins.push((first, i));
            }
            names.push(name);
        }
        Self { names, twins }
    }

    /// The columns that are named twice, for a person to know.
    pub(super) fn notes(&self) -> Vec<String> {
        let name = |i: usize| self.names.get(i).map_or("", String::as_str);
        self.twins
            .iter()
            .map(|&(first, more)| format!("two columns are named {}: the other is {}", name(first), name(more)))
            .collect()
    }

    /// Puts a row's cells under their names. Of two columns of one name and one role, the one that holds something counts.
    ///
    /// # Errors
    /// When the row has fewer or more cells than the header, or two such columns say different things.
    pub(super) fn row(&self, mut cells: Vec<Value>) -> Result<Fields, String> {
        while cells.len() > self.names.len() && cells.last().is_some_and(is_blank) {
            cells.pop();
        }
        let (has, wants) = (cells.len(), self.names.len());
        if has != wants {
            let s = if has == 1 { "" } else { "s" };
            return Err(format!("the row has {has} field{s}, the header {wants}"));
        }
        let mut gone = Vec::new();
        for &(first, more) in &self.twins {
            let [Some(one), Some(other)] = [cells.get(first), cells.get(more)] else { continue };
            if is_blank(other) || one == other {
                gone.push(more);
            } else if is_blank(one) {
                cells.swap(first, more);
                gone.push(more);
            } else {
                let name = self.names.get(first).map_or("", String::as_str);
                return Err(format!("two columns are named {name} and say different things"));
            }
        }
        let named = self.names.iter().zip(cells).enumerate();
        Ok(named.filter(|(i, _)| !gone.contains(i)).map(|(_, (name, cell))| (name.clone(), cell)).collect())
    }
}

fn is_blank(cell: &Value) -> bool {
    match cell {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        _ => false,
    }
}
