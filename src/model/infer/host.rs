//! Inference on the processor: all rows' tokens go through each matrix together.
//!
//! Every operation used here is row-invariant: [`rows`](super::super::ops::rows), [`packed`](super::super::ops::packed), [`narrow`],
//! [`attend`], and operations that work row by row.

use super::super::decoder::{Decoder, Fused, Product};
use super::super::description::{Description, Norm, Rotary};
use super::super::kv_cache::KvCache;
use super::super::lora::{AdaptedProduct, Adapter};
use super::super::ops::attend::{Sequence, attend};
use super::super::ops::narrow::{self, Piece};
use super::super::ops::norm;
use super::super::ops::pool::Pool;
use super::super::ops::rows::{Layer, Rows, product};
use super::super::ops::{activation, rotary};
use super::{Cache, Infer, InferError, Part, Turn, Want, check, parts};

/// Tokens that go through the decoder together at most: enough for the arithmetic to hide the reading of the weights,
/// few enough for the intermediate rows to stay near the processor.
const CHUNK: usize = 256;

/// New tokens of one sequence.
pub struct Row<'a> {
    pub tokens: &'a [u32],
    /// What the sequence has seen; the tokens are added to it.
    pub cache: &'a mut KvCache,
    /// Added to the frozen weights for this row, or the base model alone.
    pub adapter: Option<&'a Adapter>,
}

/// A decoder ready to infer: its weights, rotary tables and working rows.
pub struct Inference<'d> {
    decoder: &'d Decoder,
    /// Tables of global and local layers, as long as the longest text so far needed.
    tables: [rotary::Table; 2],
    /// Buffers of a pass, used again in the next.
    pool: Pool,
}

impl<'d> Inference<'d> {
    /// Prepares to run `decoder`.
    #[must_use]
    pub fn new(decoder: &'d Decoder) -> Self {
        let table = |local: bool| rotary::Table::new(&rotary_of(decoder, local), 0);
        Self { decoder, tables: [table(false), table(true)], pool: Pool::passing() }
    }

    /// The decoder that runs.
    #[must_use]
    pub fn decoder(&self) -> &'d Decoder {
        self.decoder
    }

    /// Takes logits back that [`Inference::forward`] returned, so that the next pass need not ask the system for room.
    pub fn reuse(&mut self, logits: Vec<f32>) {
        self.pool.give(logits);
    }

    /// Adds every row's tokens to its cache and returns the wanted logits, `[wanted tokens, vocab]` in the order of rows.
    ///
    /// # Errors
    /// When a token is not in the vocabulary, a text is longer than the model's context, a cache is another model's, or
    /// a row has no token. No cache has changed then.
    pub fn forward(&mut self, rows: &mut [Row<'_>], want: Want) -> Result<Vec<f32>, InferError> {
        let longest = self.check(rows)?;
        self.lengthen(longest);
        // On a thread of the pool, so that each of the hundreds of small products need not be handed over to it.
        Ok(rayon::scope(|_| self.run(rows, want)))
    }

    fn check(&self, rows: &[Row<'_>]) -> Result<usize, InferError> {
        let d = &self.decoder.description;
        let mut longest = 0;
        for row in rows {
            if !row.cache.fits(d) {
                return Err(InferError::Cache);
            }
            longest = longest.max(check(d, row.tokens, row.cache.len())?);
        }
        Ok(longest)
    }

    /// Makes the rotary tables cover `tokens` positions.
    fn lengthen(&mut self, tokens: usize) {
        for (local, table) in [false, true].into_iter().zip(&mut self.tables) {
            if table.len() < tokens {
                let length = tokens.next_power_of_two().max(CHUNK);
                *table = rotary::Table::new(&rotary_of(self.decoder, local), length);
            }
        }
    }

    fn run(&mut self, rows: &mut [Row<'_>], want: Want) -> Vec<f32> {
        let vocab = self.decoder.description.vocab;
        let mut logits = match want {
            Want::Nothing => Vec::new(),
            Want::Last => self.pool.take(rows.len() * vocab),
            Want::All => self.pool.take(rows.iter().map(|r| r.tokens.len()).sum::<usize>() * vocab),
        };
        let mut done = 0; // wanted logits filled so far
        let lengths: Vec<usize> = rows.iter().map(|row| row.tokens.len()).collect();
        for parts in parts(&lengths, CHUNK) {
            let total = parts.iter().map(|part| part.len).sum::<usize>();
            let wanted: Vec<usize> = match want {
                Want::Nothing => Vec::new(),
                Want::All => (0..total).collect(),
                Want::Last => {
                    parts.iter().filter(|p| p.from + p.len == lengths[p.row]).map(|p| p.at + p.len - 1).collect()
                }
            };
            let filled = done + wanted.len();
            self.pass(rows, &parts, &wanted, &mut logits[done * vocab..filled * vocab]);
            done = filled;
        }
        logits
    }

    /// Runs `parts` through all layers; `logits` are those of the pass's rows `wanted`.
    fn pass(&mut self, rows: &mut [Row<'_>], parts: &[Part], wanted: &[usize], logits: &mut [f32]) {
        let d = &self.decoder.description;
        let total = parts.iter().map(|p| p.len).sum::<usize>();
        let mut x = self.pool.take(total * d.hidden);
        let mut positions = Vec::with_capacity(total);
        let mut adapters: Vec<Option<&Adapter>> = Vec::with_capacity(total);
        for part in parts {
            let row = &rows[part.row];
            for (i, &token) in row.tokens[part.from..part.from + part.len].iter().enumerate() {
                let x = &mut x[positions.len() * d.hidden..][..d.hidden];
                self.decoder.embedding.row(token as usize, x);
                for e in x {
                    *e *= d.embedding_scale;
                }
                positions.push((row.cache.len() + i) as u32);
                adapters.push(row.adapter);
            }
        }
        for layer in 0..d.layers {
            // Behind the last layer's keys and values only the wanted rows matter.
            let keep = if layer + 1 == d.layers && wanted.len() < total { Some(wanted) } else { None };
            self.block(layer, rows, parts, &positions, &mut adapters, &mut x, keep);
        }
        for part in parts {
            rows[part.row].cache.advance(part.len);
        }
        if !wanted.is_empty() {
            let normed = normed(d.norm, &self.decoder.final_norm, &x, &mut self.pool);
            let rows = Rows { data: &normed, rows: wanted.len(), stride: d.hidden };
            self.decoder.head().product(rows, &[], logits, d.vocab);
            self.pool.give(normed);
        }
        self.pool.give(x);
    }

    /// One layer; where `keep` is given, `x` and `adapters` leave it with those rows alone.
    #[allow(clippy::too_many_arguments)] // the state of a pass, each read or written apart
    fn block<'a>(
        &mut self,
        layer: usize,
        rows: &mut [Row<'a>],
        parts: &[Part],
        positions: &[u32],
        adapters: &mut Vec<Option<&'a Adapter>>,
        x: &mut Vec<f32>,
        keep: Option<&[usize]>,
    ) {
        let Self { decoder, tables, pool } = self;
        let d = &decoder.description;
        let block = &decoder.blocks[layer];
        let stride = d.qkv_rows();
        let mut before = normed(d.norm, &block.attention_norm, x, pool);
        let mut qkv = linear(&block.qkv, &before, layer, Product::Qkv, adapters, pool);
        if d.qk_norm {
            norm::heads_forward(d.queries(), &block.query_norm, d.norm.eps(), &mut qkv);
            norm::heads_forward(d.keys(), &block.key_norm, d.norm.eps(), &mut qkv);
        }
        let table = &tables[usize::from(d.is_local(layer))];
        rotary::apply(table, positions, &mut qkv, stride, d.heads + d.kv_heads, d.head_dim, false);
        for part in parts {
            let new = &qkv[part.at * stride..(part.at + part.len) * stride];
            rows[part.row].cache.append(layer, new, stride, d.heads * d.head_dim);
        }
        if keep.is_some_and(<[usize]>::is_empty) {
            x.clear();
            pool.give(before);
            pool.give(qkv);
            return;
        }
        let sequences: Vec<_> = parts
            .iter()
            .map(|part| {
                let cache = &rows[part.row].cache;
                let heads = (0..d.kv_heads).map(|head| cache.head(layer, head)).collect();
                Sequence { row: part.at, tokens: part.len, heads }
            })
            .collect();
        let mut attended = pool.take(positions.len() * d.heads * d.head_dim);
        attend(d.attention(layer), &sequences, &qkv, &mut attended);
        pool.give(qkv);
        if let Some(keep) = keep {
            choose(x, d.hidden, keep);
            choose(&mut attended, d.heads * d.head_dim, keep);
            *adapters = keep.iter().map(|&i| adapters[i]).collect();
        }
        before.truncate(x.len());
        let mut attention = linear(&block.output, &attended, layer, Product::Output, adapters, pool);
        pool.give(attended);
        if d.post_norms {
            attention = renormed(d.norm, &block.post_attention_norm, attention, pool);
        }
        // With parallel branches both read the same x; the norms differ.
        if d.parallel_residual {
            norm::forward(d.norm, &block.mlp_norm, x, &mut before);
        }
        add(x, &attention);
        pool.give(attention);
        if !d.parallel_residual {
            norm::forward(d.norm, &block.mlp_norm, x, &mut before);
        }
        let inner = linear(&block.mlp_in, &before, layer, Product::MlpIn, adapters, pool);
        pool.give(before);
        let mut active = pool.take(adapters.len() * d.intermediate);
        activation::forward(d.activation, d.gated_mlp, &inner, d.intermediate, &mut active);
        pool.give(inner);
        let mut mlp = linear(&block.down, &active, layer, Product::Down, adapters, pool);
        pool.give(active);
        if d.post_norms {
            mlp = renormed(d.norm, &block.post_mlp_norm, mlp, pool);
        }
        add(x, &mlp);
        pool.give(mlp);
    }
}

impl Infer for Inference<'_> {
    fn description(&self) -> &Description {
        &self.decoder.description
    }

    fn cache(&mut self, capacity: usize) -> Result<Cache, InferError> {
        Ok(Cache::Host(KvCache::of(&self.decoder.description, capacity)))
    }

    fn fork(&mut self, of: &Cache, tokens: usize, capacity: usize) -> Result<Cache, InferError> {
        match of {
            Cache::Host(cache) => Ok(Cache::Host(cache.fork(tokens, capacity))),
            Cache::Device(_) => Err(InferError::Cache),
        }
    }

    fn forward(&mut self, rows: &mut [Turn<'_>], want: Want) -> Result<Vec<f32>, InferError> {
        let mut own = Vec::with_capacity(rows.len());
        for Turn { tokens, cache, adapter } in rows {
            let Cache::Host(cache) = &mut **cache else { return Err(InferError::Cache) };
            own.push(Row { tokens, cache, adapter: *adapter });
        }
        Inference::forward(self, &mut own, want)
    }

    fn reuse(&mut self, logits: Vec<f32>) {
        Inference::reuse(self, logits);
    }
}

fn rotary_of(decoder: &Decoder, local: bool) -> Rotary {
    let d = &decoder.description;
    if local { d.local_rotary.unwrap_or(d.rotary) } else { d.rotary }
}

fn normed(norm: Norm, weights: &norm::NormWeights, x: &[f32], pool: &mut Pool) -> Vec<f32> {
    let mut y = pool.take(x.len());
    norm::forward(norm, weights, x, &mut y);
    y
}

/// [`normed`], giving `x` back.
fn renormed(norm: Norm, weights: &norm::NormWeights, x: Vec<f32>, pool: &mut Pool) -> Vec<f32> {
    let y = normed(norm, weights, &x, pool);
    pool.give(x);
    y
}

fn add(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}

/// Leaves rows `keep`, in ascending order, of a matrix of `width` columns.
fn choose(x: &mut Vec<f32>, width: usize, keep: &[usize]) {
    for (to, &row) in keep.iter().enumerate() {
        x.copy_within(row * width..(row + 1) * width, to * width);
    }
    x.truncate(keep.len() * width);
}

/// Rows that have the same adapter, from row `from` on.
struct Same<'a> {
    from: usize,
    rows: usize,
    adapter: &'a Adapter,
    product: &'a AdaptedProduct,
}

/// The stretches of rows whose adapter adds to a product.
fn adapted<'a>(adapters: &[Option<&'a Adapter>], layer: usize, which: Product) -> impl Iterator<Item = Same<'a>> {
    let mut next = 0;
    let alike = adapters.chunk_by(|a, b| match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => std::ptr::eq(*a, *b),
        _ => false,
    });
    alike.filter_map(move |same| {
        let (from, rows) = (next, same.len());
        next += rows;
        let adapter = same.first().copied().flatten()?;
        Some(Same { from, rows, adapter, product: adapter.product(layer, which)? })
    })
}

/// `x W^T + b` for all rows, and to the rows that have one their adapter's `scale (x A^T) B^T`.
fn linear(
    fused: &Fused,
    x: &[f32],
    layer: usize,
    which: Product,
    adapters: &[Option<&Adapter>],
    pool: &mut Pool,
) -> Vec<f32> {
    let (rows, inputs, outputs) = (adapters.len(), fused.inputs, fused.outputs);
    let mut y = pool.take(rows * outputs);
    let frozen = |y: &mut [f32]| {
        fused.weight.product(Rows { data: x, rows, stride: inputs }, &fused.bias, y, outputs);
    };
    let most = adapted(adapters, layer, which).map(|same| same.product.ranks()).max().unwrap_or(0);
    if most == 0 {
        frozen(&mut y);
        return y;
    }
    let mut low = pool.take(rows * most);
    // A few rows' `x A^T` is too little to share among threads: one computes it while the others begin with the large product.
    let below = |low: &mut [f32]| {
        for Same { from, rows, adapter, product: adapted } in adapted(adapters, layer, which) {
            let ranks = adapted.ranks();
            let a = Layer { weight: &adapter.values[adapted.a_range()], bias: &[], inputs, outputs: ranks };
            let x = Rows { data: &x[from * inputs..], rows, stride: inputs };
            product(x, a, &mut low[from * most..], most);
        }
    };
    rayon::join(|| frozen(&mut y), || below(&mut low));
    for Same { from, rows, adapter, product: adapted } in adapted(adapters, layer, which) {
        let pieces = adapted.members.iter().enumerate().map(|(i, member)| {
            let (weight, outputs) = (&adapter.values[adapted.b_range(i)], member.outputs.len());
            Piece {
                x: Rows { data: &low[from * most + i * adapted.rank..], rows, stride: most },
                layer: Layer { weight, bias: &[], inputs: adapted.rank, outputs },
                column: member.outputs.start,
            }
        });
        narrow::add(&pieces.collect::<Vec<_>>(), &mut y[from * outputs..], outputs, adapter.config.scale());
    }
    pool.give(low);
    y
}
