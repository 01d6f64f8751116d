use super::super::description::{Description, Family};
use super::super::infer::tests::{adapter, decoder};
use super::*;

/// A vocabulary of 67 letters and pairs of letters, one text a token.
pub(in crate::model) fn tokenizer() -> Tokenizer {
    let vocab: Vec<String> = (0..67u8)
        .map(|i| {
            let text =
                if i < 26 { String::from(char::from(b'a' + i)) } else { format!("{}{i}", char::from(b'A' + i % 26)) };
            format!("\"{text}\": {i}")
        })
        .collect();
    let json = format!(
        r#"{{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": null, "post_processor": null, "decoder": {{"type": "Fuse"}},
        "model": {{"type": "WordLevel", "vocab": {{{}}}, "unk_token": "a"}}}}"#,
        vocab.join(",")
    );
    Tokenizer::new(json.parse().unwrap())
}

fn greedy<'a>(prompt: &'a [u32], adapter: Option<&'a Adapter>, sampling: &'a Sampling) -> Request<'a> {
    Request { prompt, adapter, sampling, stream: 0, max_tokens: 24, stops: &[], ends: &[] }
}

/// A decoder that checks that no text's cache is moved while it is written.
struct Still<'d>(Inference<'d>);

impl Infer for Still<'_> {
    fn description(&self) -> &Description {
        Infer::description(&self.0)
    }

    fn cache(&mut self, capacity: usize) -> Result<Cache, InferError> {
        self.0.cache(capacity)
    }

    fn fork(&mut self, of: &Cache, tokens: usize, capacity: usize) -> Result<Cache, InferError> {
        self.0.fork(of, tokens, capacity)
    }

    fn forward(&mut self, rows: &mut [Turn<'_>], want: Want) -> Result<Vec<f32>, InferError> {
        let room = |rows: &[Turn<'_>]| -> Vec<usize> {
            let caches = rows.iter().map(|row| match &*row.cache {
                Cache::Host(cache) => cache.bytes(),
                Cache::Device(_) => panic!("the processor's"),
            });
            caches.collect()
        };
        let before = room(rows);
        let logits = Infer::forward(&mut self.0, rows, want)?;
        assert_eq!(room(rows), before, "a cache grew");
        Ok(logits)
    }
}

#[test]
fn room_for_the_whole_of_a_long_answer_is_there_when_it_begins() {
    let (tokenizer, decoder) = (tokenizer(), decoder(Family::Llama));
    let (adapter, sampling) = (adapter(&decoder, 1), Sampling { temperature: 1.0, ..Sampling::default() });
    let prompts: [Vec<u32>; 3] = [vec![1; 30], (1..40).collect(), (1..20).rev().collect()];
    // Of both kinds, with a shared beginning and without, and one that fills the model's context.
    let request = |i: usize, adapter, max_tokens| Request { max_tokens, ..greedy(&prompts[i], adapter, &sampling) };
    let requests = [request(0, None, 400), request(0, None, 270), request(1, Some(&adapter), 1000)];
    let requests = [&requests[..], &[request(2, Some(&adapter), 1)]].concat();
    let answers = quiet(&mut Generator::on(Still(Inference::new(&decoder)), &tokenizer), &requests);
    let lengths: Vec<_> = answers.iter().map(|answer| answer.tokens.len()).collect();
    assert_eq!(lengths, [400, 270, 562, 1]);
}

fn quiet(generator: &mut Generator<'_>, requests: &[Request<'_>]) -> Vec<Answer> {
    generator.run(requests, &mut |_| true).unwrap()
}

#[test]
fn many_requests_together_answer_as_each_does_alone() {
    let tokenizer = tokenizer();
    for family in [Family::Llama, Family::Gemma3, Family::GptNeox] {
        let decoder = decoder(family);
        let adapter = adapter(&decoder, 1);
        let sampling = Sampling { temperature: 0.8, top_p: 0.95, seed: 3, ..Sampling::default() };
        // All share their first 9 tokens; two are equal, and one is the shared beginning itself.
        let prompts: Vec<Vec<u32>> =
            (0..9u32).map(|i| (0..9).chain((0..i * i % 13).map(|j| (j * 5 + i) % 67)).collect()).collect();
        let requests: Vec<_> = prompts
            .iter()
            .zip(0u64..)
            .map(|(prompt, i)| Request {
                stream: i,
                max_tokens: 5 + i as usize * 3,
                ..greedy(prompt, (i % 2 == 1).then_some(&adapter), &sampling)
            })
            .collect();
        let alone: Vec<_> =
            requests.iter().flat_map(|r| quiet(&mut Generator::new(&decoder, &tokenizer), &[*r])).collect();
        for batch in [1, 3, 32] {
            let mut generator = Generator::new(&decoder, &tokenizer).with_batch(batch);
            assert_eq!(quiet(&mut generator, &requests), alone, "{family:?}, {batch} at once");
        }
    }
}

#[test]
fn a_comparison_is_two_answers_each_as_given_alone() {
    let (tokenizer, decoder) = (tokenizer(), decoder(Family::Llama));
    let (adapter, nothing) = (adapter(&decoder, 1), {
        let mut nothing = adapter(&decoder, 1);
        nothing.values.fill(0.0);
        nothing
    });
    let sampling = Sampling { temperature: 1.0, seed: 8, ..Sampling::default() };
    let prompt = [5, 9, 2, 44];
    let mut generator = Generator::new(&decoder, &tokenizer);
    let request = greedy(&prompt, None, &sampling);
    let base = quiet(&mut generator, &[request]);
    let tuned = quiet(&mut generator, &[greedy(&prompt, Some(&adapter), &sampling)]);
    let mut streamed = [String::new(), String::new()];
    let mut apart = Vec::new();
    let rows = [request, Request { adapter: Some(&adapter), ..request }];
    let compared = generator
        .side_by_side(&rows, &mut |event| {
            match event {
                // It is known before the second answer's first text.
                Event::Text { request, text } => {
                    assert!(request == 0 || apart.len() == 1);
                    streamed[request].push_str(text);
                }
                Event::Apart { request, difference } => apart.push((request, difference)),
                _ => {}
            }
            true
        })
        .unwrap();
    assert_eq!([&compared[0], &compared[1]], [&base[0], &tuned[0]]);
    assert_eq!(streamed, [base[0].text.clone(), tuned[0].text.clone()]);
    assert!(apart[0].0 == 1 && apart[0].1 > 0.0 && base != tuned);
    let mut same = Vec::new();
    let rows = [request, Request { adapter: Some(&nothing), ..request }];
    let answers = generator
        .side_by_side(&rows, &mut |event| {
            if let Event::Apart { difference, .. } = event {
                same.push(difference);
            }
            true
        })
        .unwrap();
    assert!(same == [0.0] && answers[0] == answers[1]);
}

#[test]
fn an_answer_ends_at_a_stop_string_an_end_token_or_its_length() {
    let (tokenizer, decoder) = (tokenizer(), decoder(Family::Llama));
    let sampling = Sampling { temperature: 1.0, seed: 2, ..Sampling::default() };
    let prompt = [3, 1, 4];
    let request = greedy(&prompt, None, &sampling);
    let mut generator = Generator::new(&decoder, &tokenizer);
    let whole = quiet(&mut generator, &[request]).remove(0);
    assert_eq!((whole.tokens.len(), &whole.stop), (24, &Stop::Length));

    let end = whole.tokens[10];
    let first = whole.tokens.iter().position(|&t| t == end).unwrap();
    let ended = quiet(&mut generator, &[Request { ends: &[end], ..request }]).remove(0);
    assert_eq!((ended.tokens.as_slice(), &ended.stop), (&whole.tokens[..first], &Stop::End(end)));

    // A stop string across three tokens, whose beginning must not be shown either.
    let stop = tokenizer.decode(&whole.tokens[7..10], true).unwrap();
    let mut shown = String::new();
    let stops = ["never".to_owned(), stop.clone()];
    let stopped = generator
        .run(&[Request { stops: &stops, ..request }], &mut |event| {
            if let Event::Text { text, .. } = event {
                shown.push_str(text);
            }
            true
        })
        .unwrap()
        .remove(0);
    let at = whole.text.find(&stop).unwrap();
    assert_eq!(stopped.stop, Stop::Text(stop));
    assert_eq!((Some(stopped.text.as_str()), &shown), (whole.text.get(..at), &stopped.text));
    assert_eq!(quiet(&mut generator, &[Request { max_tokens: 0, ..request }])[0].stop, Stop::Length);
}

#[test]
fn the_end_of_the_context_ends_an_answer_and_a_longer_prompt_is_refused() {
    let (tokenizer, decoder) = (tokenizer(), decoder(Family::Llama));
    let sampling = Sampling::default();
    let mut generator = Generator::new(&decoder, &tokenizer);
    let prompt = vec![1; 595];
    let answer = quiet(&mut generator, &[greedy(&prompt, None, &sampling)]).remove(0);
    // Five more tokens fit, and the one chosen by the last of them needs no place.
    assert_eq!((answer.tokens.len(), answer.stop), (6, Stop::Context));
    let long = vec![1; 601];
    let error = generator.run(&[greedy(&prompt, None, &sampling), greedy(&long, None, &sampling)], &mut |_| true);
    let error = error.unwrap_err();
    assert!(matches!(error, GenerateError::Infer { request: 1, .. }));
    assert!(error.to_string().starts_with("the text is 601 tokens long"));
}

#[test]
fn cancelling_keeps_what_is_written() {
    let (tokenizer, decoder) = (tokenizer(), decoder(Family::Llama));
    let sampling = Sampling::default();
    let request = greedy(&[1, 2], None, &sampling);
    let mut steps = 0;
    let answers = Generator::new(&decoder, &tokenizer)
        .with_batch(1)
        .run(&[request, request], &mut |event| {
            steps += usize::from(matches!(event, Event::Step { active: 1, .. }));
            steps < 5
        })
        .unwrap();
    assert_eq!((answers[0].tokens.len(), &answers[0].stop), (5, &Stop::Cancelled));
    assert_eq!((answers[1].tokens.len(), &answers[1].stop), (0, &Stop::Cancelled));
}

#[test]
fn every_answer_has_its_seconds_and_together_they_are_no_more_than_there_were() {
    let tokenizer = tokenizer();
    let decoder = decoder(Family::Llama);
    let sampling = Sampling::default();
    let prompts: Vec<Vec<u32>> = (0..5u32).map(|i| (0..12).chain((0..=i).map(|j| j + i)).collect()).collect();
    let requests: Vec<_> = prompts
        .iter()
        .zip(0..)
        .map(|(prompt, i)| Request { max_tokens: if i == 0 { 1 } else { 9 }, ..greedy(prompt, None, &sampling) })
        .collect();
    let mut spent = vec![Spent::default(); requests.len()];
    let begun = std::time::Instant::now();
    let answers = Generator::new(&decoder, &tokenizer)
        .with_batch(3)
        .run(&requests, &mut |event| {
            if let Event::Done { request, spent: own, .. } = event {
                spent[request] = own;
            }
            true
        })
        .unwrap();
    let all = begun.elapsed().as_secs_f64();
    assert!(spent.iter().all(|own| own.prompt > 0.0), "{spent:?}");
    // The one token of the first answer came out of its prompt; the others were written on.
    assert_eq!((answers[0].tokens.len(), spent[0].answer), (1, 0.0));
    assert!(spent.iter().skip(1).all(|own| own.answer > 0.0), "{spent:?}");
    let sum: f64 = spent.iter().map(|own| own.prompt + own.answer).sum();
    assert!(sum <= all, "no second is counted twice: {sum} of {all}");
}
