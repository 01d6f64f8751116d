use serde_json::json;

use super::*;
use crate::prompt::fixtures::{self, CHATML, chatml, renderer, rows};
use crate::prompt::record;

const TRAIN: Mode = Mode::Train { supervise_prompt: false };

/// The text of the supervised tokens, a `|` where read-only tokens lie between.
fn learned(rendered: &Rendered) -> String {
    let mut out = String::new();
    let mut last = 0;
    for (span, _) in rendered.spans.iter().zip(&rendered.loss_mask).filter(|(_, on)| **on) {
        if span.start > last && !out.is_empty() {
            out.push('|');
        }
        out.push_str(rendered.text.get(span.start.max(last).min(span.end)..span.end).unwrap());
        last = last.max(span.end);
    }
    out
}

fn row(value: &Value) -> Record {
    Record::from_json(value, 1).unwrap()
}

fn check_shape(rendered: &Rendered) {
    assert_eq!(rendered.tokens.len(), rendered.spans.len());
    assert_eq!(rendered.tokens.len(), rendered.loss_mask.len());
    assert_eq!(rendered.tokens.len(), rendered.prompt_tokens + rendered.answer_tokens);
    let mut reached = 0;
    for span in &rendered.spans {
        assert!(
            span.start <= reached && span.end >= span.start,
            "every byte belongs to a token: {span:?} after {reached}"
        );
        reached = reached.max(span.end);
    }
    assert_eq!(reached, rendered.text.len());
}

#[test]
fn a_pair_learns_its_answer_and_the_end_and_its_prefix_is_what_generation_reads() {
    let pair = row(&json!({"instruction": "What is it?", "input": "hello", "output": "\n world "}));
    for renderer in [chatml(Prompt::default()), renderer(None, "<eos>", Prompt::default())] {
        let trained = renderer.render(&pair, TRAIN).unwrap();
        check_shape(&trained);
        assert_eq!(learned(&trained), format!("\n world {}", renderer.end().1));
        assert_eq!(trained.tokens.last(), Some(&renderer.end().0));
        let asked = renderer.render(&pair, Mode::Generate).unwrap();
        assert_eq!(asked.tokens, trained.tokens[..trained.prompt_tokens]);
        assert!(trained.text.starts_with(&asked.text));
        assert_eq!(asked.supervised(), 0);
        assert_eq!(trained.answer_tokens, trained.supervised());
    }
    // The answer's line break would have merged with the prompt's, had the whole been tokenised at once.
    let plain = renderer(None, "<eos>", Prompt::default());
    let trained = plain.render(&pair, TRAIN).unwrap();
    assert_eq!(trained.text, "What is it?\nhello\n\n world <eos>");
    let whole = plain.tokenizer().encode(&trained.text).unwrap().ids;
    assert_ne!(trained.tokens, whole);
}

#[test]
fn the_default_prompt_has_no_line_for_a_missing_input() {
    let renderer = renderer(None, "<eos>", Prompt::default());
    for (value, prompt) in [
        (json!({"instruction": "i", "input": "x"}), "i\nx\n"),
        (json!({"instruction": "i", "input": ""}), "i\n"),
        (json!({"instruction": "i", "input": null}), "i\n"),
        (json!({"prompt": "p"}), "p\n"),
        (json!({"question": "q", "context": "c"}), "q\nc\n"),
    ] {
        assert_eq!(renderer.render(&row(&value), Mode::Generate).unwrap().text, prompt);
    }
}

#[test]
fn templates_system_texts_and_examples_are_laid_out_as_documented() {
    let examples = rows(r#"{"question":"1?","answer":"one"}"#);
    let prompt = Prompt {
        template: Some("{{ question }}\n答えは「".into()),
        system: Some("Be brief.".into()),
        examples,
        ..Prompt::default()
    };
    let pair = row(&json!({"question": "2?", "answer": "two"}));
    let plain = renderer(None, "<eos>", prompt.clone()).render(&pair, TRAIN).unwrap();
    assert_eq!(plain.text, "Be brief.\n1?\n答えは「one\n\n2?\n答えは「two<eos>");
    assert_eq!(learned(&plain), "two<eos>");
    let chat = chatml(prompt.clone()).render(&pair, TRAIN).unwrap();
    let turns = ["system\nBe brief.", "user\n1?\n答えは「", "assistant\none", "user\n2?\n答えは「", "assistant\ntwo"];
    assert_eq!(chat.text, turns.map(|t| format!("<|im_start|>{t}<|im_end|>")).join("\n"));
    assert_eq!(learned(&chat), "two<|im_end|>", "examples are read, not learned");
    let own = row(&json!({"question": "2?", "answer": "two", "system": "Be long."}));
    assert!(chatml(prompt.clone()).render(&own, TRAIN).unwrap().text.contains("system\nBe long."));
    let plain_style = Prompt { style: Style::Plain, ..prompt };
    assert_eq!(renderer(Some(CHATML), "<eos>", plain_style).render(&pair, TRAIN).unwrap(), plain);
}

#[test]
fn the_prompt_can_be_learned_too() {
    let pair = row(&json!({"prompt": "hello", "completion": "world"}));
    let rendered = chatml(Prompt::default()).render(&pair, Mode::Train { supervise_prompt: true }).unwrap();
    assert_eq!(rendered.supervised(), rendered.tokens.len() - 1, "all but the first, which nothing predicts");
    assert!(!rendered.loss_mask[0]);
}

#[test]
fn a_chat_learns_each_assistant_turn_unless_its_weight_is_0() {
    let chat = row(&json!({"messages": [
        {"role": "user", "content": "hello"}, {"role": "assistant", "content": "one"},
        {"role": "user", "content": "one"}, {"role": "assistant", "content": "two\n", "weight": 0},
        {"role": "user", "content": "more?"}, {"role": "assistant", "content": "one"},
    ]}));
    let renderer = chatml(Prompt { system: Some("Be brief.".into()), ..Prompt::default() });
    let trained = renderer.render(&chat, TRAIN).unwrap();
    check_shape(&trained);
    assert_eq!(learned(&trained), "one<|im_end|>|one<|im_end|>");
    assert!(trained.text.starts_with("<|im_start|>system\nBe brief.<|im_end|>\n"));
    let asked = renderer.render(&chat, Mode::Generate).unwrap();
    assert!(asked.text.ends_with("more?<|im_end|>\n<|im_start|>assistant\n"), "{}", asked.text);
    assert_eq!(asked.tokens, trained.tokens[..asked.tokens.len()], "the earlier turns are cut at the same places");
}

#[test]
fn templates_of_other_families_are_cut_at_the_right_places() {
    let chat = row(&json!({"messages": [
        {"role": "user", "content": "hello"}, {"role": "assistant", "content": " one "},
        {"role": "user", "content": "one"}, {"role": "assistant", "content": "two"},
    ]}));
    let llama = include_str!("../../../tests/templates/llama.jinja");
    let gemma = include_str!("../../../tests/templates/gemma.jinja");
    let think = include_str!("../../../tests/templates/think.jinja");
    let generation = include_str!("../../../tests/templates/generation.jinja");
    // A template that ends no turn, and one whose generation prompt opens a thought that answers do not have.
    let bare = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}";
    let opening = CHATML.replace("assistant\n' }}{% endif", "assistant\n<think>\n' }}{% endif");
    assert_ne!(opening, CHATML);
    for (template, expected, end) in [
        (llama, "one<|eot_id|>|two<|eot_id|>", "<|eot_id|>"),
        (gemma, "one<end_of_turn>|two<end_of_turn>", "<end_of_turn>"),
        (think, " one <|im_end|>|<think>\n\n</think>\n\ntwo<|im_end|>", "<|im_end|>"),
        (generation, " one <|im_end|>|two<|im_end|>", "<|im_end|>"),
        (bare, " one |two<eos>", "<eos>"),
        (opening.as_str(), " one <|im_end|>|two<|im_end|>", "<|im_end|>"),
    ] {
        let renderer = renderer(Some(template), "<eos>", Prompt::default());
        let rendered = renderer.render(&chat, TRAIN).unwrap();
        check_shape(&rendered);
        assert_eq!(learned(&rendered), expected, "{}", rendered.text);
        assert_eq!(renderer.end().1, end);
        assert!(renderer.stops().contains(&renderer.tokenizer().id_of("<eos>").unwrap()), "{:?}", renderer.stops());
    }
}

#[test]
fn thoughts_and_calls_that_a_template_writes_are_part_of_the_turn() {
    let think = include_str!("../../../tests/templates/think.jinja");
    let chat = row(&json!({"messages": [
        {"role": "user", "content": "a"}, {"role": "assistant", "content": "<think>\nhm\n</think>\n\nb"},
        {"role": "user", "content": "cat"}, {"role": "assistant", "content": "<think>\nho\n</think>\n\nd"},
    ]}));
    let rendered = renderer(Some(think), "<eos>", Prompt::default()).render(&chat, TRAIN).unwrap();
    assert_eq!(learned(&rendered), "b<|im_end|>|<think>\nho\n</think>\n\nd<|im_end|>", "{}", rendered.text);
    let llama = include_str!("../../../tests/templates/llama.jinja");
    let chat = row(&json!({"messages": [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "w", "arguments": "{\"n\":1}"}}]},
        {"role": "tool", "content": "12"}, {"role": "assistant", "content": "12."},
    ]}));
    let rendered = renderer(Some(llama), "<eos>", Prompt::default()).render(&chat, TRAIN).unwrap();
    assert_eq!(learned(&rendered), "{\"name\": \"w\", \"parameters\": {\"n\": 1}}<|eot_id|>|12.<|eot_id|>");
}

#[test]
fn a_text_is_learned_whole_and_ends() {
    let text = row(&json!({"text": "hello world\n"}));
    let renderer = chatml(Prompt::default());
    let rendered = renderer.render(&text, TRAIN).unwrap();
    assert_eq!(rendered.text, "hello world\n<|im_end|>");
    assert_eq!(rendered.supervised(), rendered.tokens.len() - 1);
    assert_eq!(renderer.render(&text, Mode::Generate), Err(RenderError::NothingToAnswer));
}

#[test]
fn the_beginning_of_sequence_is_there_once() {
    let mut special = fixtures::special("<eos>");
    special.add_bos = true;
    let bos = special.bos.clone().unwrap().0;
    let gemma = include_str!("../../../tests/templates/gemma.jinja");
    for (template, value) in [
        (Some(gemma), json!({"prompt": "hello"})),
        (None, json!({"prompt": "hello"})),
        (Some(CHATML), json!({"messages": [{"role": "user", "content": "hello"}]})),
    ] {
        let renderer = Renderer::new(fixtures::tokenizer(), template, special.clone(), Prompt::default()).unwrap();
        let rendered = renderer.render(&row(&value), Mode::Generate).unwrap();
        assert_eq!(rendered.tokens[0], bos);
        assert_eq!(rendered.tokens.iter().filter(|&&id| id == bos).count(), 1, "{}", rendered.text);
        check_shape(&rendered);
    }
    let renderer = Renderer::new(fixtures::tokenizer(), None, special, Prompt::default()).unwrap();
    let text = renderer.render(&row(&json!({"text": "hello"})), TRAIN).unwrap();
    assert_eq!(learned(&text), "hello<eos>");
}

#[test]
fn what_cannot_be_rendered_says_why() {
    let base = renderer(None, "<eos>", Prompt::default());
    let error = |renderer: &Renderer, value: Value| renderer.render(&row(&value), TRAIN).unwrap_err().to_string();
    assert!(error(&base, json!({"sound": "moo", "output": "cow"})).contains("which may use: sound"));
    assert!(error(&base, json!({"prompt": "p"})).contains("no answer"));
    assert!(error(&base, json!({"messages": [{"role": "user", "content": "a"}]})).contains("chat template"));
    assert!(error(&base, json!({"text": ""})).contains("empty"));
    let unanswered = json!({"messages": [{"role": "user", "content": "a"}]});
    assert!(error(&chatml(Prompt::default()), unanswered).contains("no token of the record is supervised"));
    let own = renderer(None, "<eos>", Prompt { template: Some("{{ title }}: {{ body }}".into()), ..Prompt::default() });
    let message = error(&own, json!({"title": "t", "output": "o"}));
    let what = "the prompt template names body, which the record does not have; its fields are: title. ";
    assert!(message.starts_with(what) && message.contains("prompt.template"), "{message}");
    let refused = renderer(Some(include_str!("../../../tests/templates/gemma.jinja")), "<eos>", Prompt::default());
    let message = error(&refused, json!({"messages": [{"role": "assistant", "content": "a"}]}));
    assert!(message.contains("Turns must go user"), "{message}");

    let new =
        |template, prompt| Renderer::new(fixtures::tokenizer(), template, fixtures::special("<eos>"), prompt).err();
    let chat = Prompt { style: Style::Chat, ..Prompt::default() };
    assert_eq!(new(None, chat.clone()), Some(RenderError::NoChatTemplate));
    assert_eq!(new(None, Prompt { chat_template: Some(CHATML.into()), ..chat }), None);
    let examples = rows(r#"{"id":"x","question":"1?"}"#);
    assert_eq!(new(None, Prompt { examples, ..Prompt::default() }), Some(RenderError::Example { id: "x".into() }));
}

#[test]
fn padding_never_ends_an_answer() {
    let renderer = chatml(Prompt::default());
    assert_eq!(renderer.special.pad, Some(renderer.end().0), "the fixture pads with its end token, as SmolLM2 does");
    assert_eq!(renderer.padding().unwrap(), renderer.tokenizer().id_of("<|endoftext|>").unwrap());
}

#[test]
fn a_prompt_is_read_from_a_settings_file() {
    let prompt: Prompt = toml::from_str("template = \"{{ q }}\"\nstyle = \"plain\"\nsystem = \"s\"\n").unwrap();
    assert_eq!((prompt.style, prompt.system.as_deref()), (Style::Plain, Some("s")));
    assert!(toml::from_str::<Prompt>("templat = \"x\"").is_err(), "unknown keys are errors");
    let examples = rows(r#"{"question":"1?","answer":"one"}"#);
    let prompt = Prompt { examples, ..Prompt::default() };
    assert_eq!(toml::from_str::<Prompt>(&toml::to_string(&prompt).unwrap()).unwrap(), prompt);
}

/// Rows of the training file, each with the tokens of its prompt and of its answer, and the FNV-1a hash of all ids as
/// little-endian 32-bit numbers: what `encode` of the reference script gives with transformers on the same rows.
const REFERENCE: [(usize, usize, usize, u64); 20] = [
    (0, 104, 58, 0xd648_c116_5f40_3c36),
    (50, 72, 23, 0xc192_bcbd_d774_5f1b),
    (100, 72, 26, 0xeede_d7a3_0858_613e),
    (150, 72, 14, 0xfd0a_0e87_37b2_d8d4),
    (200, 70, 14, 0x236c_dc40_cee0_4959),
    (250, 73, 20, 0x85c6_697f_1f36_d9dd),
    (300, 76, 48, 0x725b_bf1b_ea2f_d8fd),
    (350, 74, 31, 0x768e_4acb_8a4e_8812),
    (400, 67, 13, 0x709c_4370_c94b_347f),
    (450, 73, 13, 0xb30f_9aed_fdfc_f40b),
    (500, 70, 13, 0x8100_9a82_f25b_e5b7),
    (550, 71, 13, 0x0d80_1320_1bf3_9406),
    (600, 74, 26, 0x2c1e_4b5c_f23b_ce13),
    (650, 81, 28, 0x726e_ef16_6ea0_80e1),
    (700, 69, 23, 0x09fb_4602_201a_a3e9),
    (750, 68, 16, 0xe330_842a_6771_0720),
    (800, 68, 19, 0x226b_377d_6e84_500d),
    (850, 68, 18, 0x9700_dc0e_d5ab_816a),
    (900, 79, 48, 0x65c0_81b4_6470_e9dd),
    (950, 70, 21, 0x1e46_0a78_7a13_cf78),
];

/// The tokenizer and template of `SmolLM2`, in a folder that the peers' `gguf_to_hf.py` makes.
fn smollm2() -> Option<Renderer> {
    let model = std::env::var_os("TOGI_HF_SMOLLM2").map(std::path::PathBuf::from).filter(|path| path.is_dir());
    let Some(model) = model else {
        eprintln!("skipped: TOGI_HF_SMOLLM2 names no folder");
        return None;
    };
    let tokenizer = tokenizers::Tokenizer::from_file(model.join("tokenizer.json")).unwrap();
    let template = std::fs::read_to_string(model.join("chat_template.jinja")).unwrap();
    let end = (2, "<|im_end|>".to_owned());
    let special = Special { bos: Some((1, "<|im_start|>".into())), add_bos: false, eos: end, pad: Some(2) };
    Renderer::new(Arc::new(Tokenizer::new(tokenizer)), Some(&template), special, Prompt::default()).ok()
}

/// Conversations with the number of tokens that transformers gives, without and with a generation prompt.
#[test]
fn smollm2_conversations_are_those_of_transformers() {
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], [usize; 2]);
    let Some(renderer) = smollm2() else { return };
    let lead = "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n";
    let cases: [Case; 4] = [
        (lead, &[("user", "Hello")], [27, 31]),
        ("", &[("system", "Be brief."), ("user", "Hi there\n")], [16, 20]),
        (lead, &[("user", "研ぎとは?"), ("assistant", "刃物を鋭くすること。"), ("user", "なぜ?")], [68, 72]),
        (lead, &[("user", ""), ("assistant", " leading space")], [34, 38]),
    ];
    for (lead, turns, counts) in cases {
        let messages: Vec<Message> = turns.iter().map(|(role, text)| Message::new(role, *text)).collect();
        let body = turns.iter().map(|(role, text)| ["<|im_start|>", role, "\n", text, "<|im_end|>\n"].concat());
        let body: String = body.collect();
        for (generation, tail) in [(false, ""), (true, "<|im_start|>assistant\n")] {
            let output = renderer.write_chat(renderer.chat.as_ref().unwrap(), &messages, None, generation).unwrap();
            assert_eq!(output.text, format!("{lead}{body}{tail}"));
            let tokens = renderer.tokenizer().encode(&output.text).unwrap().ids.len();
            assert_eq!(tokens, counts[usize::from(generation)], "{:?}", output.text);
        }
    }
}

#[test]
fn smollm2_rows_are_the_tokens_of_the_reference() {
    let Some(renderer) = smollm2() else { return };
    let Some(shared) = fixtures::folder("TOGI_SHARED", "../shared") else { return };
    assert_eq!(renderer.end(), (2, "<|im_end|>"));
    let rows = record::read(&shared.join("data/nlupp_json_en/train_1000.jsonl")).unwrap();
    assert_eq!((rows.records.len(), rows.errors.len()), (1000, 0));
    for (i, prompt, answer, hash) in REFERENCE {
        let rendered = renderer.render(&rows.records[i], TRAIN).unwrap();
        assert_eq!((rendered.prompt_tokens, rendered.answer_tokens), (prompt, answer), "row {i}");
        let mask = [vec![false; prompt], vec![true; answer]].concat();
        assert_eq!(rendered.loss_mask, mask, "row {i}");
        let bytes = rendered.tokens.iter().flat_map(|id| id.to_le_bytes());
        let fnv = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        assert_eq!(fnv, hash, "row {i}");
        check_shape(&rendered);
    }
    let found = crate::prompt::preflight(&renderer, &rows.records, 1024, false);
    assert_eq!((found.supervised, found.tokens), (26_076, 26_076 + 74_443), "all 1,000 rows");
    assert!(found.is_clean());

    let hi = renderer.render(&row(&json!({"prompt": "Hi"})), Mode::Generate).unwrap();
    let system = "You are a helpful AI assistant named SmolLM, trained by Hugging Face";
    let text =
        format!("<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
    assert_eq!(hi.text, text, "the template's own system text");
    let ids = [
        1, 9690, 198, 2683, 359, 253, 5356, 5646, 11173, 3365, 3511, 308, 34519, 28, 7018, 411, 407, 19712, 8182, 2,
        198, 1, 4093, 198, 26843, 2, 198, 1, 520, 9531, 198,
    ];
    assert_eq!(hi.tokens, ids);
}
