//! Where the assistant's turns lie in a rendered conversation.

use std::ops::Range;

use serde_json::Value;

use super::{RenderError, Renderer, Role, Segment};
use crate::prompt::record::Message;
use crate::prompt::template::{Output, Template};

impl Renderer {
    /// Cuts a conversation into prompts and answers.
    pub(super) fn chat_segments(
        &self,
        messages: &[Message],
        tools: Option<&Value>,
        generate: bool,
    ) -> Result<Vec<Segment>, RenderError> {
        let chat = self.chat.as_ref().ok_or(RenderError::NoChatTemplate)?;
        let mut all = self.questions.chat(messages);
        let shift = all.len() - messages.len();
        if generate && all.last().is_some_and(|m| m.role == "assistant") {
            all.pop();
        }
        let whole = self.write_chat(chat, &all, tools, generate)?;
        let mut segments = Vec::new();
        let mut at = 0;
        for (answer, weight) in self.answers(chat, &all, tools, &whole, shift)? {
            let (Some(before), Some(text)) = (whole.text.get(at..answer.start), whole.text.get(answer.clone())) else {
                continue;
            };
            at = answer.end;
            segments.push(Segment::new(before, Role::Prompt));
            segments.push(Segment { supervised: weight && !generate, ..Segment::new(text, Role::Answer) });
        }
        let rest = whole.text.get(at..).unwrap_or_default();
        let unended =
            segments.last().filter(|last| !last.text.ends_with(self.end.1.as_str()) && rest.trim().is_empty());
        if let Some(supervised) = unended.map(|last| last.supervised).filter(|_| !generate) {
            // The template ends no turn: without an end token the model would never learn to stop.
            segments.push(Segment { supervised, ..Segment::token(&self.end, Role::Answer) });
        } else {
            segments.push(Segment::new(rest, Role::Prompt));
        }
        Ok(segments)
    }

    /// Byte ranges of the assistant's turns (content and end token) in the whole rendering, with their weights.
    fn answers(
        &self,
        chat: &Template,
        messages: &[Message],
        tools: Option<&Value>,
        whole: &Output,
        shift: usize,
    ) -> Result<Vec<(Range<usize>, bool)>, RenderError> {
        let text = whole.text.as_str();
        let turns: Vec<usize> =
            (0..messages.len()).filter(|&i| messages.get(i).is_some_and(|m| m.role == "assistant")).collect();
        let marked = whole.generations.len() == turns.len();
        let mut ranges: Vec<(Range<usize>, bool)> = Vec::with_capacity(turns.len());
        for (k, &turn) in turns.iter().enumerate() {
            let lost = || RenderError::Turn { turn: turn.saturating_sub(shift) };
            let message = messages.get(turn).ok_or_else(lost)?;
            let floor = ranges.last().map_or(0, |(range, _)| range.end);
            let range = if let Some(range) = whole.generations.get(k).filter(|_| marked) {
                self.to_end(text, range)
            } else {
                self.find_turn(chat, messages.get(..turn).unwrap_or_default(), tools, message, text, floor)
                    .ok_or_else(lost)?
            };
            if range.start < floor {
                return Err(lost());
            }
            ranges.push((range, message.weight != Some(0)));
        }
        Ok(ranges)
    }

    /// Where one assistant's turn lies in `text`, not before `floor`.
    fn find_turn(
        &self,
        chat: &Template,
        before: &[Message],
        tools: Option<&Value>,
        message: &Message,
        text: &str,
        floor: usize,
    ) -> Option<Range<usize>> {
        let said = message.content.as_deref().unwrap_or_default();
        let content = said.trim();
        let end = self.end.1.as_str();
        let prefix = |generation| Some(self.write_chat(chat, before, tools, generation).ok()?.text);
        let reaches = |p: &String| p.len() >= floor && text.starts_with(p.as_str());
        let opened = prefix(true).filter(reaches).map(|p| p.len());
        // Without it, the generation prompt holds more than the template writes before an answer.
        let start = opened.or_else(|| Some(prefix(false).filter(reaches)?.len()))?;
        let rest = text.get(start..)?;
        let ends = || rest.match_indices(end).map(|(at, _)| at);
        // The end that follows the content; or the first, where a template drops a thought or writes a call after it.
        let follows = |at: &usize| rest.get(..*at).is_some_and(|turn| turn.trim_end().ends_with(content));
        let rewritten = || ends().next().filter(|_| opened.is_some() && !content.contains(end));
        let closed = ends().find(follows).or_else(rewritten);
        let turn_end = match closed {
            Some(at) => at + end.len(),
            None => [said, content].into_iter().find_map(|c| Some(rest.find(c)? + c.len()))?,
        };
        if opened.is_some() {
            // After a generation prompt all of the turn is the model's own, an empty thought included.
            return Some(start..start + turn_end);
        }
        let turn = rest.get(..closed.unwrap_or(turn_end))?;
        let own = [said, content].into_iter().find_map(|c| Some(turn.strip_suffix(c)?.len()));
        let begin = own.or_else(|| Some(turn.trim_end().strip_suffix(content)?.len()))?;
        (!content.is_empty()).then_some(start + begin..start + turn_end)
    }

    /// A marked turn up to its end token, which the template may write after the mark or white space before it ends.
    fn to_end(&self, text: &str, marked: &Range<usize>) -> Range<usize> {
        let end = self.end.1.as_str();
        let turn = text.get(marked.clone()).unwrap_or_default().trim_end();
        if turn.ends_with(end) {
            return marked.start..marked.start + turn.len();
        }
        let follows = text.get(marked.end..).is_some_and(|rest| rest.starts_with(end));
        marked.start..if follows { marked.end + end.len() } else { marked.end }
    }
}
