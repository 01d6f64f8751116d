//! What things look like: roles, and the themes that give them colours.
//!
//! A theme is a TOML file with two tables: `[rgb]` for terminals that can show it (brought down to 256 colours where that is
//! all), `[ansi]` for those with sixteen. Weight, underline and reversal belong to the role and not to the theme, so a
//! screen without colours (`NO_COLOR`) still tells everything.

use std::path::Path;
use std::str::FromStr;

use ratatui::style::{Color, Modifier, Style};
use termprofile::TermProfile;

use crate::config::{Keys, SettingsError, TomlFile};

/// How many colours a terminal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colours {
    /// None; bold, underline and reversal only.
    None,
    /// The terminal's own sixteen.
    Sixteen,
    /// The 256 of xterm.
    Palette,
    /// Any.
    All,
}

impl Colours {
    /// What the environment says of the terminal that `output` is.
    #[must_use]
    pub fn detect(output: &impl termprofile::IsTerminal) -> Self {
        match TermProfile::detect(output, termprofile::DetectorSettings::default()) {
            TermProfile::NoTty | TermProfile::NoColor => Self::None,
            TermProfile::Ansi16 => Self::Sixteen,
            TermProfile::Ansi256 => Self::Palette,
            TermProfile::TrueColor => Self::All,
        }
    }
}

macro_rules! roles {
    ($($(#[$doc:meta])* $variant:ident $name:literal $modifier:expr;)+) => {
        /// What a piece of the screen is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Role { $($(#[$doc])* $variant,)+ }

        impl Role {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];
            const NAMES: &'static [&'static str] = &[$($name,)+];

            const fn modifier(self) -> Modifier {
                match self { $(Self::$variant => $modifier,)+ }
            }
        }
    };
}

roles! {
    /// What is read.
    Text "text" Modifier::empty();
    /// What is beside the point.
    Dim "dim" Modifier::DIM;
    /// Headings.
    Title "title" Modifier::BOLD;
    /// What is togi's own: the name, the open pane, the mark of what has the focus.
    Accent "accent" Modifier::BOLD;
    /// Lines.
    Border "border" Modifier::DIM;
    /// A key to press.
    Key "key" Modifier::BOLD;
    /// The line that a list's cursor is on.
    Cursor "cursor" Modifier::REVERSED;
    /// What is selected.
    Selected "selected" Modifier::BOLD;
    /// What went well.
    Good "good" Modifier::empty();
    /// What wants a look.
    Warn "warn" Modifier::UNDERLINED;
    /// What is wrong.
    Bad "bad" Modifier::BOLD.union(Modifier::UNDERLINED);
    /// What is good to know.
    Info "info" Modifier::empty();
    /// A stretch that is new.
    Added "added" Modifier::UNDERLINED;
    /// A stretch that went.
    Removed "removed" Modifier::CROSSED_OUT;
    /// A token that is no text.
    Special "special" Modifier::ITALIC;
    /// A token that no loss is taken of.
    Masked "masked" Modifier::DIM;
    /// A token that is learned.
    Supervised "supervised" Modifier::BOLD;
    /// What the base model says.
    Base "base" Modifier::empty();
    /// What the tuned model says.
    Tuned "tuned" Modifier::BOLD;
    /// Curves; each has a line of its own kind too.
    Series1 "series1" Modifier::empty();
    /// The second curve.
    Series2 "series2" Modifier::empty();
    /// The third.
    Series3 "series3" Modifier::empty();
    /// The fourth.
    Series4 "series4" Modifier::empty();
    /// The fifth.
    Series5 "series5" Modifier::empty();
    /// The sixth.
    Series6 "series6" Modifier::empty();
}

impl Role {
    /// The role of the `index`th curve, from 0; after the sixth they begin again.
    #[must_use]
    pub fn series(index: usize) -> Self {
        [Self::Series1, Self::Series2, Self::Series3, Self::Series4, Self::Series5, Self::Series6][index % 6]
    }
}

/// The themes that come with togi: name and file.
pub const BUILT_IN: [(&str, &str); 4] = [
    ("dark", include_str!("../themes/dark.toml")),
    ("light", include_str!("../themes/light.toml")),
    ("contrast", include_str!("../themes/contrast.toml")),
    ("kiri", include_str!("../themes/kiri.toml")),
];

/// A theme for a terminal.
#[derive(Clone, Debug, PartialEq)]
pub struct Theme {
    /// Its name.
    pub name: String,
    /// Whether it is made for a dark ground.
    pub dark: bool,
    /// Whether it is drawn with ASCII only.
    pub ascii: bool,
    styles: Vec<Style>,
}

impl Theme {
    /// The theme of that name, or in that file (beside the settings where the path is relative), for a terminal of so many
    /// colours.
    ///
    /// # Errors
    /// When there is none, or its file says what cannot be.
    pub fn load(name: &str, colours: Colours) -> Result<Self, SettingsError> {
        if let Some((_, text)) = BUILT_IN.iter().find(|(known, _)| *known == name) {
            return Self::read(Path::new(name), text, colours);
        }
        let file =
            crate::config::file().and_then(|file| Some(file.parent()?.join(name))).unwrap_or_else(|| name.into());
        let text =
            std::fs::read_to_string(&file).map_err(|cause| SettingsError::Unreadable { file: file.clone(), cause })?;
        Self::read(&file, &text, colours)
    }

    /// Reads `text` as the file `file`.
    ///
    /// # Errors
    /// With the line of a role that is missing, misspelt or no colour.
    pub fn read(file: &Path, text: &str, colours: Colours) -> Result<Self, SettingsError> {
        let toml = TomlFile::parse(file, text)?;
        let tables = [("rgb", Keys::Only(Role::NAMES)), ("ansi", Keys::Only(Role::NAMES))];
        toml.check_with(&["name", "background"], &tables)?;
        let dark = match toml.string("", "background")?.as_deref() {
            Some("dark") | None => true,
            Some("light") => false,
            Some(other) => {
                return Err(toml.wrong("", "background", &format!("is {other:?}; it is dark or light")));
            }
        };
        let mut styles = Vec::with_capacity(Role::ALL.len());
        for (role, name) in Role::ALL.iter().zip(Role::NAMES) {
            // Both tables are read, so that a mistake shows wherever the file is tried.
            let colour = |table: &str| -> Result<Style, SettingsError> {
                let text = toml.string(table, name)?.unwrap_or_else(|| "default".into());
                style(&text).map_err(|reason| toml.wrong(table, name, &reason))
            };
            let (rgb, ansi) = (colour("rgb")?, colour("ansi")?);
            let chosen = match colours {
                Colours::None => Style::new(),
                Colours::Sixteen => ansi,
                Colours::Palette => TermProfile::Ansi256.adapt_style(rgb),
                Colours::All => rgb,
            };
            styles.push(chosen.add_modifier(weight(*role, chosen, colours)));
        }
        let name = toml.string("", "name")?.unwrap_or_else(|| file.display().to_string());
        Ok(Self { name, dark, ascii: false, styles })
    }

    /// The theme, drawn with ASCII only or not.
    #[must_use]
    pub fn with_ascii(self, ascii: bool) -> Self {
        Self { ascii, ..self }
    }

    /// How a role looks.
    #[must_use]
    pub fn style(&self, role: Role) -> Style {
        self.styles.get(role as usize).copied().unwrap_or_default()
    }

    /// The sign, or what stands for it in ASCII.
    #[must_use]
    pub fn sign<'a>(&self, sign: &'a str, ascii: &'a str) -> &'a str {
        if self.ascii { ascii } else { sign }
    }
}

/// What a role has besides its colours. A colour of its own makes weight needless for what is dim, and for the line of the cursor.
fn weight(role: Role, chosen: Style, colours: Colours) -> Modifier {
    let coloured = chosen.fg.is_some_and(|colour| colour != Color::Reset);
    match role {
        Role::Dim | Role::Border | Role::Masked if coloured => Modifier::empty(),
        Role::Warn if colours != Colours::None => Modifier::empty(),
        Role::Bad if colours != Colours::None => Modifier::BOLD,
        Role::Cursor if chosen.bg.is_some() => Modifier::BOLD,
        Role::Added if chosen.bg.is_some() => Modifier::UNDERLINED,
        role => role.modifier(),
    }
}

/// Reads `FOREGROUND`, `FOREGROUND on BACKGROUND` or `on BACKGROUND`.
fn style(text: &str) -> Result<Style, String> {
    let (front, back) = match text.split_once("on ") {
        Some((front, back)) => (front.trim(), Some(back.trim())),
        None => (text.trim(), None),
    };
    let mut style = Style::new();
    if !front.is_empty() {
        style = style.fg(colour(front)?);
    }
    if let Some(back) = back {
        style = style.bg(colour(back)?);
    }
    Ok(style)
}

fn colour(text: &str) -> Result<Color, String> {
    if text == "default" {
        return Ok(Color::Reset);
    }
    // ratatui takes numbers too, which say nothing to a reader of the file.
    let named = !text.starts_with(|c: char| c.is_ascii_digit());
    Color::from_str(text)
        .ok()
        .filter(|_| named)
        .ok_or_else(|| format!("has {text:?}, which is no colour; write \"#e5b567\", \"bright-red\" or \"default\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: [Colours; 4] = [Colours::None, Colours::Sixteen, Colours::Palette, Colours::All];

    #[test]
    fn every_theme_gives_every_role_a_look_in_every_depth() {
        for (name, text) in BUILT_IN {
            for colours in EVERY {
                let theme = Theme::read(Path::new(name), text, colours).unwrap();
                assert_eq!(theme.name, name);
                let looks = |role| theme.style(role);
                assert_ne!(looks(Role::Cursor), looks(Role::Text), "{name} {colours:?}: where is the cursor?");
                assert_ne!(looks(Role::Added), looks(Role::Removed), "{name} {colours:?}");
                assert_ne!(looks(Role::Added), looks(Role::Text), "{name} {colours:?}");
                assert_ne!(looks(Role::Supervised), looks(Role::Masked), "{name} {colours:?}");
                if colours == Colours::None {
                    let coloured = |role: &&Role| looks(**role).fg.is_some() || looks(**role).bg.is_some();
                    assert_eq!(Role::ALL.iter().find(coloured), None, "{name} has a colour without colours");
                }
            }
            let missing = Role::NAMES.iter().find(|role| text.matches(&format!("\n{role} = ")).count() != 2);
            assert_eq!(missing, None, "{name} does not name a role twice");
        }
    }

    #[test]
    fn a_file_says_where_it_is_wrong() {
        let told = |text: &str| Theme::read(Path::new("my.toml"), text, Colours::All).unwrap_err().to_string();
        for (text, parts) in [
            ("[rgb]\ntext = \"#12345\"", ["line 2", "no colour"]),
            ("[rgb]\ntexxt = \"red\"", ["line 2", "did you mean text?"]),
            ("background = \"grey\"", ["line 1", "dark or light"]),
            ("[rgb]\n\ncursor = \"red on 7\"", ["line 3", "no colour"]),
        ] {
            let message = told(text);
            assert!(parts.iter().all(|part| message.contains(part)), "{text:?} gives {message:?}");
        }
    }
}
