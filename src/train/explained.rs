//! What each training setting does, in a sentence that a person who sets one reads.

/// Key under `[train]` and sentence, those that are changed most first.
pub const EXPLAINED: &[(&str, &str)] = &[
    ("epochs", "Passes over the training records; 3 is usual for about a thousand."),
    ("batch", "Records in one step. Fewer means more steps, each of them rougher."),
    ("learning_rate", "Peak learning rate; 0 chooses by the model's size (1e-3 under 500M parameters, else 2e-4)."),
    ("rank", "Rank of the adapter: how much it can learn. 8 to 64; more takes more memory."),
    ("alpha", "The adapter's output is scaled by alpha / rank; twice the rank is usual."),
    ("dropout", "Share of the adapter's input that is left out at random, against learning by heart."),
    ("targets", "Layers that get an adapter, such as [\"q_proj\", \"v_proj\"]; [] for all of attention and MLP."),
    ("rslora", "Scale by alpha / sqrt(rank) instead: steadier at a high rank."),
    ("method", "lora tunes a small adapter; full tunes every weight, for small models made from a random start."),
    ("steps", "Steps in all, if fewer than the epochs would give; 0 for no limit."),
    ("schedule", "How the learning rate falls after its peak: cosine, linear or constant."),
    ("warmup", "Share of the steps in which the rate rises to its peak."),
    ("warmup_steps", "Fewest steps of warm-up."),
    ("final_share", "Share of the peak rate that is left at the end."),
    ("weight_decay", "How strongly AdamW pulls weights to zero."),
    ("beta1", "AdamW's decay of the mean of the gradient."),
    ("beta2", "AdamW's decay of the mean of its square."),
    ("clip", "Largest norm of the gradient, a longer one is shortened to it; 0 for no limit."),
    ("max_length", "Longest record in tokens; 0 chooses from the data, at most 1024."),
    ("too_long", "What happens to a longer record: stop refuses to start, drop leaves it out. An answer is never cut."),
    ("supervise_prompt", "Learn the prompt's tokens as well, not only the answer's."),
    (
        "pass_tokens",
        "Tokens computed at once; 0 is 2,048, and 16,384 on a GPU that has room for them. Fewer need less memory.",
    ),
    ("device", "Where to compute: auto takes a GPU where one is found, cuda demands one, cpu never takes one."),
    (
        "precision",
        "Weights and activations on a GPU: auto is bf16; f32 takes twice the memory. The adapter is always f32.",
    ),
    (
        "share_prefix",
        "Compute a beginning that prompts share once a pass: as good in less time, and without dropout the same numbers.",
    ),
    ("checkpointing", "Keep less and compute it again: less memory, about a third more time."),
    ("evaluations", "Looks at the validation records in an epoch, each with sample answers and a checkpoint."),
    ("patience", "Looks without a better validation loss before the run ends by itself; 0 never ends it."),
    ("valid", "Share of the records held out for validation where none are marked for it."),
    ("samples", "Validation records whose answers are shown at each look."),
    ("seed", "Seed of everything random; the same seed gives the same run."),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::settings::Settings;

    #[test]
    fn every_setting_is_explained_once() {
        let table = toml::Table::try_from(Settings::default()).unwrap();
        let mut keys: Vec<&str> = table.keys().map(String::as_str).collect();
        let mut explained: Vec<&str> = EXPLAINED.iter().map(|(key, _)| *key).collect();
        keys.sort_unstable();
        explained.sort_unstable();
        assert_eq!(keys, explained);
        assert!(EXPLAINED.iter().all(|(_, doc)| doc.ends_with('.')));
    }
}
