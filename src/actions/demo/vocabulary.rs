//! The demo's tokenizer: byte-level BPE, trained on the demo's own pages and pairs.
//!
//! Text is first cut where the script changes: a run of kanji, of hiragana, of katakana, a word with the space before it,
//! a digit with a dot, up to three digits, punctuation. So no token spans a name and the particle behind it, and with enough merges every name,
//! thing, act and month is one token, which makes copying one step. Bytes are the alphabet, so any text can be
//! written and comes back as it was.

use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{
    AddedToken, DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, SplitDelimiterBehavior, TokenizerBuilder,
    TokenizerImpl,
};

use super::pages::pretraining_text;
use super::pairs::{bracketed_list, meetings};
use super::world::Share;
use crate::model::tokenizer::TokenizerError;

/// The end of a page or of an answer.
pub const END: &str = "<|end|>";

/// Filling behind a short row; never supervised.
pub const PAD: &str = "<|pad|>";

/// Cuts text where the script changes. A negated class with `\P{L}` in it is the letters without the scripts named.
const CUTS: &str = concat!(
    r"\p{Han}+|\p{Hiragana}+|[\p{Katakana}ー]+",
    r"| ?[^\P{L}\p{Han}\p{Hiragana}\p{Katakana}ー]+",
    r"|\p{N}\.| ?\p{N}{1,3}| ?[^\s\p{L}\p{N}]+|\s+",
);

/// Number of pages whose words are counted.
const PAGES: usize = 4_000;

/// Trains the tokenizer of `size` tokens on the pages and training pairs of a seed.
///
/// # Errors
/// When the crate's trainer refuses its settings.
pub fn train_tokenizer(seed: u64, size: usize) -> Result<tokenizers::Tokenizer, TokenizerError> {
    train(seed, size).map_err(|e| TokenizerError(format!("the demo's tokenizer could not be trained: {e}")))
}

fn train(seed: u64, size: usize) -> tokenizers::Result<tokenizers::Tokenizer> {
    type Bare = TokenizerImpl<BPE, NormalizerWrapper, PreTokenizerWrapper, PostProcessorWrapper, DecoderWrapper>;
    let bytes = ByteLevel::new(false, true, false);
    let cuts = Split::new(SplitPattern::Regex(CUTS.to_owned()), SplitDelimiterBehavior::Isolated, false)?;
    let mut tokenizer: Bare = TokenizerBuilder::new()
        .with_model(BPE::default())
        .with_pre_tokenizer(Some(Sequence::new(vec![cuts.into(), bytes.into()]).into()))
        .with_decoder(Some(bytes.into()))
        .build()?;
    let special = [END, PAD].map(|text| AddedToken::from(text, true));
    let mut trainer = BpeTrainer::builder()
        .vocab_size(size)
        .show_progress(false)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(special.to_vec())
        .build();
    let asked = meetings(seed, Share::Page, PAGES / 20).into_iter();
    let pairs = asked.map(|(meeting, pair)| pair.prompt() + &bracketed_list(&meeting));
    tokenizer.train(&mut trainer, pretraining_text(seed, PAGES).chain(pairs))?;
    // Through its JSON, the form in which it is kept, so that the trained and the stored one cannot differ.
    tokenizer.to_string(false)?.parse()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::demo::assets;
    use crate::actions::demo::pairs::pairs;
    use crate::model::tokenizer::Tokenizer;

    fn stored() -> Tokenizer {
        Tokenizer::new(assets::TOKENIZER.parse().expect("the stored tokenizer can be read"))
    }

    #[test]
    fn any_text_comes_back_as_it_was() {
        let tokenizer = stored();
        let pages = pretraining_text(9, 50);
        let odd = [
            "",
            " ",
            "\n\n  a\t",
            "Ünïcode 한국어 🙂\u{200d}👩",
            "ﾊﾞ㌔々〆ヶA班B室",
            "it's 1234567 ½ ...",
            "\u{0}\u{7f}e\u{301}",
        ];
        for text in pages.chain(odd.map(str::to_owned)) {
            let ids = tokenizer.encode(&text).expect("text is tokenised").ids;
            assert_eq!(tokenizer.decode(&ids, false).expect("tokens are text"), text);
        }
    }

    #[test]
    fn names_things_and_acts_are_single_tokens() {
        use crate::actions::demo::words;
        let tokenizer = stored();
        let count = |text: &str| tokenizer.encode(text).expect("text is tokenised").ids.len();
        let work = words::ENGLISH_WORK.iter().flat_map(|(thing, verbs)| thing.split(' ').chain(verbs.iter().copied()));
        for word in words::ENGLISH_NAMES.iter().copied().chain(work).chain(words::MONTHS) {
            assert_eq!(count(&format!(" {word}")), 1, "{word}");
        }
        let work =
            words::JAPANESE_WORK.iter().flat_map(|(thing, acts)| [*thing].into_iter().chain(acts.iter().copied()));
        for word in words::JAPANESE_NAMES.iter().copied().chain(work) {
            assert_eq!(count(word), 1, "{word}");
        }
    }

    #[test]
    fn the_end_is_one_special_token_and_not_the_filling() {
        let tokenizer = stored();
        let (end, pad) = (tokenizer.id_of(END).expect("an end"), tokenizer.id_of(PAD).expect("a filling"));
        assert_ne!(end, pad);
        assert!(tokenizer.is_special(end) && tokenizer.is_special(pad));
        assert_eq!(tokenizer.encode(END).expect("text is tokenised").ids, [end]);
    }

    #[test]
    fn pairs_are_short() {
        let tokenizer = stored();
        let pairs = pairs(assets::SEED, Share::Train, 200);
        let count = |text: &str| tokenizer.encode(text).expect("text is tokenised").ids.len();
        let lengths: Vec<usize> = pairs.iter().map(|pair| count(&pair.prompt()) + count(&pair.output) + 1).collect();
        assert!(lengths.iter().all(|&tokens| tokens <= 192), "{:?}", lengths.iter().max());
        assert!(lengths.iter().sum::<usize>() < 120 * pairs.len());
    }
}
