use serde_json::{Map, Value, json};

use super::*;
use crate::store::{Origin, Status};

fn pair(fields: &Value, draft: Option<&str>, gold: Option<&str>) -> Content {
    let fields: Map<String, Value> = fields.as_object().unwrap().clone();
    Content::Pair { fields, draft: draft.map(str::to_owned), gold: gold.map(str::to_owned) }
}

fn roles(content: &Content, fields: Option<&[String]>) -> Vec<(String, String, Role)> {
    parts(content, fields).into_iter().map(|p| (p.field.into_owned(), p.text.into_owned(), p.role)).collect()
}

#[test]
fn a_pair_is_told_apart_into_instruction_prompt_answer_and_the_rest() {
    let content =
        pair(&json!({"instruction": "Sort.", "input": "b a", "lang": "en", "n": 3}), Some("a b?"), Some("a b"));
    let s = str::to_owned;
    let expected = [
        (s("instruction"), s("Sort."), Role::Instruction),
        (s("input"), s("b a"), Role::Prompt),
        (s("lang"), s("en"), Role::Other),
        (s("gold"), s("a b"), Role::Answer),
    ];
    assert_eq!(roles(&content, None), expected);
    let alone = pair(&json!({"instruction": "Sort b a.", "input": ""}), Some("a b"), None);
    assert_eq!(roles(&alone, None)[0].2, Role::Prompt, "an instruction without an input is what is asked");
    assert_eq!(roles(&alone, None).last().unwrap().0, "draft");
    let own = pair(&json!({"name": "Ann", "age": 3}), None, None);
    assert_eq!(roles(&own, None).iter().map(|p| p.2).collect::<Vec<_>>(), [Role::Prompt, Role::Prompt]);
    let named = roles(&own, Some(&[s("name")]));
    assert_eq!(named, [(s("name"), s("Ann"), Role::Prompt)], "a template that names one field reads no other");
}

#[test]
fn a_chat_has_its_last_assistant_turn_as_answer_and_earlier_ones_as_replies() {
    let turn = |role: &str, text: &str| Turn { role: role.into(), content: Some(text.into()), ..Turn::default() };
    let mut turns = vec![turn("system", "s"), turn("user", "u"), turn("assistant", "a"), turn("user", "v")];
    turns.push(turn("assistant", "b"));
    turns[2].weight = Some(0);
    let content = Content::Chat { turns, tools: None };
    let found: Vec<Role> = parts(&content, None).iter().map(|part| part.role).collect();
    assert_eq!(found, [Role::Instruction, Role::Prompt, Role::Prompt, Role::Prompt, Role::Answer]);
    let mut state = State::new(content, Status::Draft);
    assert!(replace(&mut state, "turns[4].content", "c".into()));
    assert_eq!(state.content.answer(), Some("c"));
    assert!(!replace(&mut state, "turns[9].content", "c".into()));
    assert!(!replace(&mut state, "gold", "c".into()));
}

#[test]
fn the_renderer_gets_gold_before_draft() {
    let content = pair(&json!({"question": "1+1?"}), Some("3"), Some("2"));
    let record =
        Record { id: 7, revision: 1, state: State::new(content, Status::Gold), origin: Origin::Import, source: None };
    let rendered = rendered(&record);
    assert_eq!((rendered.id.as_str(), rendered.answer()), ("7", Some("2")));
}
