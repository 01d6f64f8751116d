//! Damaged and hostile files: whatever the bytes, the answer is a model or a sentence, soon and in little memory.
//!
//! `PROPTEST_CASES=100000 cargo test --release --lib hostile` goes on for minutes.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::OnceLock;

use proptest::prelude::*;
use serde_json::json;

use super::gguf::Header;
use super::{Source, TensorSource};
use crate::model::decoder::Decoder;
use crate::model::description::Slot;
use crate::model::families;
use crate::model::lora::{Adapter, LoraConfig};
use crate::model::peft;

/// A GGUF file, written piece by piece.
#[derive(Clone, Default)]
struct Maker {
    entries: Vec<u8>,
    entry_count: u64,
    infos: Vec<u8>,
    data: Vec<u8>,
    tensor_count: u64,
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

impl Maker {
    fn entry(&mut self, key: &str, kind: u32, value: &[u8]) {
        text(&mut self.entries, key);
        self.entries.extend(kind.to_le_bytes());
        self.entries.extend(value);
        self.entry_count += 1;
    }

    fn number(&mut self, key: &str, n: u32) {
        self.entry(key, 4, &n.to_le_bytes());
    }

    fn float(&mut self, key: &str, x: f32) {
        self.entry(key, 6, &x.to_le_bytes());
    }

    fn word(&mut self, key: &str, word: &str) {
        let mut value = Vec::new();
        text(&mut value, word);
        self.entry(key, 8, &value);
    }

    fn words(&mut self, key: &str, words: &[String]) {
        let mut value = 8u32.to_le_bytes().to_vec();
        value.extend((words.len() as u64).to_le_bytes());
        for word in words {
            text(&mut value, word);
        }
        self.entry(key, 9, &value);
    }

    fn numbers(&mut self, key: &str, kind: u32, bytes: &[[u8; 4]]) {
        let mut value = kind.to_le_bytes().to_vec();
        value.extend((bytes.len() as u64).to_le_bytes());
        value.extend(bytes.concat());
        self.entry(key, 9, &value);
    }

    /// A tensor of type `kind` (0: F32, 8: `Q8_0`) whose bytes are all `fill`.
    fn tensor(&mut self, name: &str, shape: &[u64], kind: u32, fill: u8) {
        self.data.resize(self.data.len().div_ceil(32) * 32, 0);
        let offset = self.data.len() as u64;
        self.info(name, shape, kind, offset);
        let elements: u64 = shape.iter().product();
        let size = if kind == 0 { elements * 4 } else { elements / 32 * 34 };
        self.data.resize(self.data.len() + size as usize, fill);
    }

    fn info(&mut self, name: &str, shape: &[u64], kind: u32, offset: u64) {
        text(&mut self.infos, name);
        self.infos.extend((shape.len() as u32).to_le_bytes());
        for d in shape.iter().rev() {
            self.infos.extend(d.to_le_bytes());
        }
        self.infos.extend(kind.to_le_bytes());
        self.infos.extend(offset.to_le_bytes());
        self.tensor_count += 1;
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF\x03\0\0\0".to_vec();
        out.extend(self.tensor_count.to_le_bytes());
        out.extend(self.entry_count.to_le_bytes());
        out.extend(&self.entries);
        out.extend(&self.infos);
        out.resize(out.len().div_ceil(32) * 32, 0);
        out.extend(&self.data);
        out
    }
}

/// A tiny Llama with a tokenizer of the kind `gpt2` or `llama`.
fn tiny(kind: &str) -> Maker {
    let mut m = Maker::default();
    m.word("general.architecture", "llama");
    for (key, n) in [("block_count", 1), ("context_length", 64), ("embedding_length", 32), ("feed_forward_length", 32)]
    {
        m.number(&format!("llama.{key}"), n);
    }
    m.number("llama.attention.head_count", 4);
    m.number("llama.attention.head_count_kv", 2);
    m.float("llama.attention.layer_norm_rms_epsilon", 1e-5);
    m.word("tokenizer.ggml.model", kind);
    m.number("tokenizer.ggml.eos_token_id", 0);
    let mut words: Vec<String> = ["<s>", "a", "b", "ab", "Ġ", "▁"].iter().map(|&w| w.to_owned()).collect();
    words.extend((0..=255).map(|b| format!("<0x{b:02X}>")));
    let types: Vec<[u8; 4]> = (0..words.len())
        .map(|i| {
            [if i == 0 {
                3u32
            } else if i < 6 {
                1
            } else {
                6
            }; 1][0]
                .to_le_bytes()
        })
        .collect();
    let scores: Vec<[u8; 4]> = (0..words.len()).map(|i| (-(i as f32)).to_le_bytes()).collect();
    m.words("tokenizer.ggml.tokens", &words);
    m.numbers("tokenizer.ggml.token_type", 5, &types);
    m.numbers("tokenizer.ggml.scores", 6, &scores);
    m.words("tokenizer.ggml.merges", &["a b".to_owned()]);
    m.word("tokenizer.ggml.pre", "smollm");
    m.tensor("token_embd.weight", &[words.len() as u64, 32], 8, 1);
    m.tensor("output_norm.weight", &[32], 0, 0);
    for norm in ["attn_norm", "ffn_norm"] {
        m.tensor(&format!("blk.0.{norm}.weight"), &[32], 0, 0);
    }
    for (name, rows) in [
        ("attn_q", 32),
        ("attn_k", 16),
        ("attn_v", 16),
        ("attn_output", 32),
        ("ffn_gate", 32),
        ("ffn_up", 32),
        ("ffn_down", 32),
    ] {
        m.tensor(&format!("blk.0.{name}.weight"), &[rows, 32], 8, 2);
    }
    m
}

/// Opens a model, reads every tensor, tokenises: all that a run would do with it. The error, if any, has words in it.
fn use_all(path: &Path) -> Result<(), String> {
    let words = |e: String| if e.len() > 10 { e } else { panic!("{e:?} says nothing") };
    let source = Source::open(path).map_err(|e| words(e.to_string()))?;
    for (slot, shape) in families::slots(source.description()) {
        let values = source.tensor(slot, &shape).map_err(|e| words(e.to_string()))?;
        assert_eq!(values.len(), shape.iter().product::<usize>());
        if let &[outputs, inputs] = shape.as_slice() {
            let matrix = source.matrix(slot, [outputs, inputs]).map_err(|e| words(e.to_string()))?;
            assert_eq!((matrix.outputs(), matrix.inputs()), (outputs, inputs));
        }
    }
    let tokenizer = source.tokenizer().map_err(|e| words(e.to_string()))?;
    let encoded = tokenizer.encode("ab <s> 研\n").map_err(|e| words(e.to_string()))?;
    tokenizer.decode(&encoded.ids, true).map_err(|e| words(e.to_string()))?;
    Ok(())
}

fn use_bytes(bytes: &[u8]) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, bytes).unwrap();
    use_all(&path)
}

/// A tiny Llama as a folder, each file as bytes.
fn tiny_folder() -> Vec<(&'static str, Vec<u8>)> {
    let config = json!({"architectures": ["LlamaForCausalLM"], "hidden_size": 8, "intermediate_size": 8,
        "num_attention_heads": 2, "num_hidden_layers": 1, "vocab_size": 4, "tie_word_embeddings": true});
    let tokenizer = json!({"version": "1.0", "added_tokens": [{"id": 0, "content": "<s>", "single_word": false,
        "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "vocab": {"<s>": 0, "a": 1, "b": 2, "ab": 3}, "merges": [["a", "b"]]}});
    let description = families::from_config(config.as_object().unwrap()).unwrap();
    let mut header = String::from("{\"__metadata__\":{\"format\":\"pt\"}");
    let mut end = 0;
    for (slot, shape) in families::slots(&description) {
        let size = shape.iter().product::<usize>() * 4;
        let name = families::hf_name(description.family, slot);
        write!(header, ",\"{name}\":{{\"dtype\":\"F32\",\"shape\":{shape:?},\"data_offsets\":[{end},{}]}}", end + size)
            .unwrap();
        end += size;
    }
    header.push('}');
    let mut weights = (header.len() as u64).to_le_bytes().to_vec();
    weights.extend(header.as_bytes());
    weights.resize(weights.len() + end, 0x3c);
    vec![
        ("config.json", config.to_string().into_bytes()),
        ("tokenizer.json", tokenizer.to_string().into_bytes()),
        ("model.safetensors", weights),
    ]
}

fn use_folder(files: &[(&str, Vec<u8>)]) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    use_all(folder.path())
}

/// An adapter of rank 2 on the tiny folder's model, as its two files, and the model.
fn tiny_adapter() -> (&'static Decoder, Vec<(&'static str, Vec<u8>)>) {
    static MADE: OnceLock<(Decoder, Vec<u8>, Vec<u8>)> = OnceLock::new();
    let (decoder, config, weights) = MADE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in tiny_folder() {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        let decoder = {
            let source = Source::open(folder.path()).unwrap();
            Decoder::load(&source, source.description()).unwrap()
        };
        let targets = families::linears(&decoder.description);
        let config = LoraConfig { rank: 2, alpha: 4.0, dropout: 0.0, targets, rslora: false };
        let adapter = Adapter::new(&decoder, &config, 0);
        peft::write(&adapter, &decoder, &peft::Base::default(), folder.path()).unwrap();
        let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
        (decoder, read(peft::CONFIG), read(peft::WEIGHTS))
    });
    (decoder, vec![(peft::CONFIG, config.clone()), (peft::WEIGHTS, weights.clone())])
}

fn use_adapter(decoder: &Decoder, files: &[(&str, Vec<u8>)]) -> Result<Adapter, String> {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    peft::read(folder.path(), decoder).map_err(|error| error.to_string())
}

/// A change to a file: bytes replaced by others, or the end cut off, or a stretch doubled.
#[derive(Clone, Debug)]
enum Damage {
    Byte(usize, u8),
    Word(usize, u64),
    Cut(usize),
    Double(usize, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    // Numbers at which sums and products of counts overflow, and small ones that are valid elsewhere.
    let word = prop_oneof![
        Just(0),
        Just(1),
        Just(u64::MAX),
        Just(u64::MAX - 7),
        Just(1 << 63),
        Just(1 << 61),
        Just(1 << 32),
        Just((1 << 32) - 1),
        0u64..1000,
        any::<u64>()
    ];
    prop_oneof![
        4 => (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Damage::Byte(at, byte)),
        4 => (any::<usize>(), word).prop_map(|(at, word)| Damage::Word(at, word)),
        1 => any::<usize>().prop_map(Damage::Cut),
        1 => (any::<usize>(), 1usize..64).prop_map(|(at, n)| Damage::Double(at, n)),
    ]
}

/// Damages within the first `reach` bytes.
fn apply(bytes: &mut Vec<u8>, damages: &[Damage], reach: usize) {
    for damage in damages {
        let reach = reach.min(bytes.len()).max(1);
        match *damage {
            Damage::Byte(at, byte) => {
                if let Some(place) = bytes.get_mut(at % reach) {
                    *place = byte;
                }
            }
            Damage::Word(at, word) => {
                for (i, byte) in word.to_le_bytes().into_iter().enumerate() {
                    if let Some(place) = bytes.get_mut(at % reach + i) {
                        *place = byte;
                    }
                }
            }
            Damage::Cut(at) => bytes.truncate(at % (bytes.len() + 1)),
            Damage::Double(at, n) => {
                let at = at % reach;
                let part = bytes.get(at..(at + n).min(bytes.len())).unwrap_or_default().to_vec();
                bytes.splice(at..at, part);
            }
        }
    }
}

#[test]
fn the_tiny_files_are_whole() {
    use_bytes(&tiny("gpt2").bytes()).unwrap();
    use_bytes(&tiny("llama").bytes()).unwrap();
    use_folder(&tiny_folder()).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn hostile_gguf_is_read_or_refused(llama in any::<bool>(), damages in prop::collection::vec(damage(), 1..4)) {
        let maker = tiny(if llama { "llama" } else { "gpt2" });
        let mut bytes = maker.bytes();
        let header = bytes.len() - maker.data.len();
        apply(&mut bytes, &damages, header);
        let _ = use_bytes(&bytes);
    }

    #[test]
    fn hostile_folder_is_read_or_refused(which in 0usize..3, damages in prop::collection::vec(damage(), 1..4)) {
        let mut files = tiny_folder();
        apply(&mut files[which].1, &damages, 4096);
        let _ = use_folder(&files);
    }

    #[test]
    fn hostile_text_in_json_is_read_or_refused(which in 0usize..2, at in any::<usize>(), digits in "[0-9eE.\\-\"\\[\\]{}a,:]{1,12}") {
        let mut files = tiny_folder();
        let bytes = &mut files[which].1;
        let at = at % bytes.len();
        let end = (at + digits.len()).min(bytes.len());
        bytes.splice(at..end, digits.bytes());
        let _ = use_folder(&files);
    }

    #[test]
    fn hostile_adapter_is_read_or_refused(which in 0usize..2, damages in prop::collection::vec(damage(), 1..4)) {
        let (decoder, mut files) = tiny_adapter();
        apply(&mut files[which].1, &damages, 4096);
        let _ = use_adapter(decoder, &files);
    }

    #[test]
    fn hostile_text_in_an_adapters_json_is_read_or_refused(at in any::<usize>(), digits in "[0-9eE.\\-\"\\[\\]{}a,:]{1,12}") {
        let (decoder, mut files) = tiny_adapter();
        let at = at % files[0].1.len();
        let end = (at + digits.len()).min(files[0].1.len());
        files[0].1.splice(at..end, digits.bytes());
        let _ = use_adapter(decoder, &files);
    }

    #[test]
    fn hostile_noise_is_refused(noise in prop::collection::vec(any::<u8>(), 0..256)) {
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        bytes.extend(noise);
        prop_assert!(Header::parse(&bytes).is_ok_and(|header| header.is_empty()) || use_bytes(&bytes).is_err());
    }
}

#[test]
fn hostile_ranks_of_an_adapter_ask_for_no_memory() {
    let (decoder, files) = tiny_adapter();
    assert_eq!(use_adapter(decoder, &files).unwrap().config.rank, 2);
    for rank in ["1", "3", "1000000", "1000000000000", "18446744073709551615"] {
        let config = String::from_utf8(files[0].1.clone()).unwrap().replace("\"r\": 2", &format!("\"r\": {rank}"));
        assert!(config.contains(rank));
        let error = use_adapter(decoder, &[(files[0].0, config.into_bytes()), files[1].clone()]).unwrap_err();
        assert!(error.contains("rank of") && error.contains(rank), "{rank}: {error}");
    }
}

#[test]
fn hostile_files_cut_anywhere_say_that_they_are_cut() {
    let bytes = tiny("llama").bytes();
    for end in (4..bytes.len()).step_by(37).chain([bytes.len() - 1]) {
        let error = use_bytes(&bytes[..end]).unwrap_err();
        assert!(error.contains("cut short") || error.contains("more than the file can hold"), "{end}: {error}");
    }
    let weights = tiny_folder().remove(2).1;
    for end in [0, 7, 8, 100, weights.len() - 1] {
        let mut files = tiny_folder();
        files[2].1.truncate(end);
        let error = use_folder(&files).unwrap_err();
        assert!(error.contains("model.safetensors") && error.contains("download it again"), "{end}: {error}");
    }
}

/// What is said of a header, and what was done to it.
type Lie<'a> = (&'a str, &'a dyn Fn(&mut Maker));

/// What each kind of lie in a header is called.
#[test]
fn hostile_headers_are_refused_for_what_is_wrong_with_them() {
    let refused = |change: &dyn Fn(&mut Maker)| {
        let mut maker = tiny("llama");
        change(&mut maker);
        use_bytes(&maker.bytes()).unwrap_err()
    };
    let cases: [Lie; 13] = [
        ("dimensions", &|m| m.info("x", &[1, 1, 1, 1, 1], 0, 0)),
        ("dimensions", &|m| m.info("x", &[], 0, 0)),
        ("impossible dimension", &|m| m.info("x", &[0, 4], 0, 0)),
        ("impossible", &|m| m.info("x", &[1 << 40, 1 << 40], 0, 0)),
        ("impossible", &|m| m.info("x", &[31], 8, 0)),
        ("unaligned", &|m| m.info("x", &[1], 0, 33)),
        ("past the end", &|m| m.info("x", &[1], 0, u64::MAX - 31)),
        ("overlap", &|m| m.info("x", &[8], 0, 0)),
        ("IQ2_XS", &|m| m.info("x", &[256], 17, 0)),
        ("occurs twice", &|m| m.tensor("output_norm.weight", &[32], 0, 0)),
        ("occurs twice", &|m| m.number("llama.block_count", 1)),
        ("general.alignment", &|m| m.number("general.alignment", 0)),
        ("list of lists", &|m| m.entry("x", 9, &[9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
    ];
    for (said, change) in cases {
        let error = refused(change);
        assert!(error.contains(said), "{said}: {error}");
    }
    let extra = refused(&|m| m.tensor("blk.0.ffn_gate_inp.weight", &[32], 0, 0));
    assert!(extra.contains("ffn_gate_inp") && extra.contains("supported are"), "{extra}");
    let pre = refused(&|m| {
        *m = tiny("gpt2");
        let at = m.entries.windows(6).position(|w| w == b"smollm").unwrap();
        m.entries[at..at + 6].copy_from_slice(b"tekken");
    });
    assert!(pre.contains("tekken") && pre.contains("smollm"), "{pre}");
}

#[test]
fn hostile_shards_cannot_point_out_of_their_folder() {
    let mut files = tiny_folder();
    files.remove(2);
    let index = json!({"weight_map": {"model.norm.weight": "../../secret.safetensors"}});
    files.push(("model.safetensors.index.json", index.to_string().into_bytes()));
    let error = use_folder(&files).unwrap_err();
    assert!(error.contains("names no plain file"), "{error}");
}

#[test]
fn hostile_merges_do_not_reach_the_library() {
    let mut files = tiny_folder();
    let json = String::from_utf8(files[1].1.clone()).unwrap().replace("[\"a\",\"b\"]", "[\"ab\",\"ab\"]");
    files[1].1 = json.into_bytes();
    let error = use_folder(&files).unwrap_err();
    assert!(error.contains("merge"), "{error}");
}

#[test]
fn sharded_weights_are_read_as_one() {
    let whole = tiny_folder();
    let folder = tempfile::tempdir().unwrap();
    let weights = folder.path().join("model.safetensors");
    for (name, bytes) in &whole {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    let before = Source::open(folder.path()).unwrap().tensor(Slot::Embedding, &[4, 8]).unwrap();
    // Part the one file in two: each half of the tensors with a header of its own.
    let data = std::fs::read(&weights).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&data).unwrap();
    let mut names = tensors.names();
    names.sort_unstable();
    let mut map = serde_json::Map::new();
    for (i, part) in names.chunks(names.len() / 2 + 1).enumerate() {
        let file = format!("model-{i}.safetensors");
        let views: Vec<_> = part.iter().map(|name| (*name, tensors.tensor(name).unwrap())).collect();
        std::fs::write(folder.path().join(&file), safetensors::serialize(views, None).unwrap()).unwrap();
        map.extend(part.iter().map(|name| ((*name).to_owned(), json!(file))));
    }
    std::fs::remove_file(&weights).unwrap();
    let index = json!({"weight_map": map}).to_string();
    std::fs::write(folder.path().join("model.safetensors.index.json"), index).unwrap();
    let source = Source::open(folder.path()).unwrap();
    assert_eq!(source.tensor(Slot::Embedding, &[4, 8]).unwrap(), before);
    use_all(folder.path()).unwrap();
}
