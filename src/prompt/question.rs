//! What is asked, before any model's own layout: the project's template over a record's fields, the system text and the examples,
//! as the messages of a conversation.
//!
//! A [`Renderer`](super::Renderer) lays the same messages out for its model, so an endpoint that takes messages is asked what a
//! model on this machine is asked.

use serde_json::{Map, Value};

use super::Prompt;
use super::record::{Kind, Message, Record, user_text};
use super::render::RenderError;
use super::template::Template;

/// A project's prompt with its template read.
pub struct Questions {
    pub(super) prompt: Prompt,
    pub(super) fields: Option<Template>,
}

impl Questions {
    /// Reads the template.
    ///
    /// # Errors
    /// When it does not parse, or an example is no pair with an answer.
    pub fn new(prompt: Prompt) -> Result<Self, RenderError> {
        let fields = prompt.template.as_deref().map(Template::fields).transpose()?;
        if let Some(example) =
            prompt.examples.iter().find(|e| e.answer().is_none() || !matches!(e.kind, Kind::Pair { .. }))
        {
            return Err(RenderError::Example { id: example.id.clone() });
        }
        Ok(Self { prompt, fields })
    }

    /// What a pair asks: the project's template, or the default.
    ///
    /// # Errors
    /// When the template fails or names a field that is not there, or there is neither template nor usual field.
    pub fn question(&self, fields: &Map<String, Value>) -> Result<String, RenderError> {
        let names = || fields.keys().cloned().collect::<Vec<_>>();
        let Some(template) = &self.fields else {
            return user_text(fields).ok_or_else(|| RenderError::NoPrompt { fields: names() });
        };
        template.render(fields).map(|output| output.text).map_err(|error| {
            let missing: Vec<String> =
                template.variables().into_iter().filter(|name| !fields.contains_key(name)).collect();
            if missing.is_empty() { error.into() } else { RenderError::MissingField { missing, fields: names() } }
        })
    }

    /// The examples' fields and answers.
    pub(super) fn examples(&self) -> impl Iterator<Item = (&Map<String, Value>, &str)> {
        self.prompt.examples.iter().filter_map(|example| match &example.kind {
            Kind::Pair { fields, answer: Some(answer) } => Some((fields, answer.as_str())),
            _ => None,
        })
    }

    /// The text before everything: the record's own, or the project's.
    pub(super) fn system<'a>(&'a self, fields: &'a Map<String, Value>) -> Option<&'a str> {
        fields.get("system").and_then(Value::as_str).or(self.prompt.system.as_deref())
    }

    /// The messages that ask for a pair's answer: system text, examples with their answers, question.
    pub(super) fn pair(&self, fields: &Map<String, Value>) -> Result<Vec<Message>, RenderError> {
        let mut messages: Vec<Message> =
            self.system(fields).map(|text| Message::new("system", text)).into_iter().collect();
        for (fields, answer) in self.examples() {
            messages.push(Message::new("user", self.question(fields)?));
            messages.push(Message::new("assistant", answer));
        }
        messages.push(Message::new("user", self.question(fields)?));
        Ok(messages)
    }

    /// A conversation with the project's system text before it, where it has none of its own.
    pub(super) fn chat(&self, messages: &[Message]) -> Vec<Message> {
        let own = messages.first().is_some_and(|m| m.role == "system" || m.role == "developer");
        let system = self.prompt.system.as_ref().filter(|_| !own).map(|text| Message::new("system", text.clone()));
        system.into_iter().chain(messages.iter().cloned()).collect()
    }

    /// The messages that ask for a record's answer.
    ///
    /// # Errors
    /// As [`Questions::question`], and where the record is a text, which asks nothing.
    pub fn messages(&self, record: &Record) -> Result<Vec<Message>, RenderError> {
        match &record.kind {
            Kind::Pair { fields, .. } => self.pair(fields),
            Kind::Chat { messages, .. } => {
                let mut messages = self.chat(messages);
                if messages.last().is_some_and(|m| m.role == "assistant") {
                    messages.pop();
                }
                Ok(messages)
            }
            Kind::Text { .. } => Err(RenderError::NothingToAnswer),
        }
    }
}
