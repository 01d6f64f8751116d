//! Causal attention over packed segments, in tiles of [`TILE`] rows.
//!
//! Tiles are of packed rows, whatever segments they belong to: short segments behind one another share a tile, and the rows of
//! several segments that stand on one prefix read it together. A [`Tiling`] lists for each tile of queries the tiles of keys that
//! any of its rows sees, and for each tile of keys the tiles of queries that see it, in a fixed order. Where very many queries see
//! a tile of keys (a prefix that many rows share), several blocks take a share each and a further kernel adds up what they found.
//! bf16 heads of usual sizes are multiplied on tensor cores (`attention_cores.cu`), all others in f32 (`attention.cu`).
//! Each pair of tiles carries the least and greatest distance between a query and a key it sees, by which windows skip tiles.

use std::collections::BTreeMap;

use super::{Call, Done, THREADS, WARPS, pointer};
use crate::model::device::{Address, Argument, Device, DeviceError, Kind, Span};
use crate::model::ops::attention::{Segment, Shape};

/// Rows of a tile, of queries and of keys.
pub const TILE: usize = 64;
/// Tiles of queries that one block takes for a tile of keys, at least, before several share the work.
const SHARE: usize = 8;
/// Shares in all that keep a large device busy; a larger share is taken rather than many more.
const SHARES: usize = 128;
/// Threads of a block of the kernels on tensor cores.
const CORE_THREADS: u32 = 128;
/// An item that writes its gradient itself.
const DIRECT: u32 = u32::MAX;

/// How one pack's segments fall into tiles. It serves every layer of the pack, windows or not.
#[derive(Clone, Debug, Default)]
pub struct Tiling {
    /// What the kernels read of it, to be uploaded whole.
    pub words: Vec<u32>,
    rows: usize,
    /// Shares of tiles of keys.
    items: usize,
    /// Tiles of keys that are shared.
    splits: usize,
    /// Partial sums of shared tiles.
    slots: usize,
    /// First word of the parts behind the rows' own: where each tile's pairs begin, those pairs, items, their pairs, splits.
    parts: [usize; 5],
}

/// What a tile of queries sees of a tile of keys.
#[derive(Clone, Copy)]
struct Pair {
    /// Query and key pairs that see one another.
    count: usize,
    nearest: usize,
    farthest: usize,
}

impl Pair {
    /// Tile, least and greatest distance; the tile's lowest bit says that all of it is seen.
    fn words(self, tile: usize) -> [u32; 3] {
        let full = u32::from(self.count == TILE * TILE);
        [(tile as u32) << 1 | full, self.nearest as u32, self.farthest as u32]
    }
}

/// One packed row: first row of its segment, first row and length of the prefix.
type Place = [usize; 3];

impl Tiling {
    /// The tiling of a pack.
    ///
    /// # Panics
    /// When a segment names a prefix that is not there: a mistake of the caller.
    #[must_use]
    pub fn new(segments: &[Segment]) -> Self {
        let rows = segments.iter().map(|s| s.start + s.len).max().unwrap_or(0);
        // A row of no segment sees nothing: its own segment begins behind it.
        let mut places: Vec<Place> = (0..rows).map(|row| [row + 1, 0, 0]).collect();
        for segment in segments {
            let (first, len) = segment.prefix.map_or((0, 0), |p| (segments[p].start, segments[p].len));
            places[segment.start..segment.start + segment.len].fill([segment.start, first, len]);
        }
        Self::of(&places)
    }

    /// The tiling of rows that are read on: `stretches` of rows each continue a text, by the text's first row, their own first row
    /// and their number. They see their text from its beginning to themselves; the other ones of the `rows` rows see nothing.
    ///
    /// # Panics
    /// When a stretch lies beyond the rows: a mistake of the caller.
    #[must_use]
    pub fn reading_on(rows: usize, stretches: &[[usize; 3]]) -> Self {
        let mut places: Vec<Place> = (0..rows).map(|row| [row + 1, 0, 0]).collect();
        for &[text, first, len] in stretches {
            places[first..first + len].fill([text, 0, 0]);
        }
        Self::of(&places)
    }

    fn of(places: &[Place]) -> Self {
        let rows = places.len();
        let tiles = rows.div_ceil(TILE);
        let seen: Vec<BTreeMap<usize, Pair>> = (0..tiles).map(|tile| keys_of(places, tile)).collect();
        let mut tiling = Self { rows, words: places.iter().flatten().map(|&x| x as u32).collect(), ..Self::default() };
        tiling.parts[0] = tiling.words.len();
        let starts = seen.iter().scan(0, |next, pairs| Some(std::mem::replace(next, *next + pairs.len() as u32)));
        let total: usize = seen.iter().map(BTreeMap::len).sum();
        tiling.words.extend(starts.chain([total as u32]));
        tiling.parts[1] = tiling.words.len();
        tiling.words.extend(seen.iter().flatten().flat_map(|(&tile, pair)| pair.words(tile)));
        tiling.add_keys(&seen, total);
        tiling
    }

    /// Items, their pairs and the splits.
    fn add_keys(&mut self, seen: &[BTreeMap<usize, Pair>], total: usize) {
        let mut queries: Vec<Vec<(usize, Pair)>> = vec![Vec::new(); seen.len()];
        for (tile, pairs) in seen.iter().enumerate() {
            for (&keys, &pair) in pairs {
                queries[keys].push((tile, pair));
            }
        }
        let share = SHARE.max(total.div_ceil(SHARES));
        let (mut items, mut splits) = (Vec::new(), Vec::new());
        let mut next = 0;
        for (tile, pairs) in queries.iter().enumerate() {
            let count = pairs.len().div_ceil(share).max(1);
            if count > 1 {
                splits.extend([tile as u32, self.slots as u32, count as u32]);
                self.splits += 1;
            }
            for i in 0..count {
                let (from, to) = (pairs.len() * i / count, pairs.len() * (i + 1) / count);
                let slot = if count > 1 { (self.slots + i) as u32 } else { DIRECT };
                items.extend([tile as u32, next + from as u32, next + to as u32, slot]);
            }
            self.items += count;
            self.slots += if count > 1 { count } else { 0 };
            next += pairs.len() as u32;
        }
        self.parts[2] = self.words.len();
        self.words.extend(items);
        self.parts[3] = self.words.len();
        self.words.extend(queries.iter().flatten().flat_map(|(tile, pair)| pair.words(*tile)));
        self.parts[4] = self.words.len();
        self.words.extend(splits);
    }

    /// Packed rows it covers.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Tiles of queries.
    fn tiles(&self) -> usize {
        self.rows.div_ceil(TILE)
    }

    /// Where the uploaded words' part `part` begins.
    fn part(&self, words: Span, part: usize) -> Argument {
        Argument::Pointer(Address(words.at.0 + 4 * self.parts[part] as u64))
    }
}

/// The tiles of keys that rows of query tile `tile` see.
fn keys_of(places: &[Place], tile: usize) -> BTreeMap<usize, Pair> {
    let mut pairs = BTreeMap::new();
    let end = places.len().min((tile + 1) * TILE);
    for (row, &[own, first, len]) in places.iter().enumerate().take(end).skip(tile * TILE) {
        // Stretches of keys, and the distance from the query to the key at row 0 if it were one.
        for (from, to, distance) in [(first, first + len, (len + row + first).saturating_sub(own)), (own, row + 1, row)]
        {
            let mut at = from;
            while at < to {
                let keys = at / TILE;
                let stop = to.min((keys + 1) * TILE);
                let (nearest, farthest) = (distance + 1 - stop, distance - at);
                let pair = pairs.entry(keys).or_insert(Pair { count: 0, nearest, farthest });
                pair.count += stop - at;
                pair.nearest = pair.nearest.min(nearest);
                pair.farthest = pair.farthest.max(farthest);
                at = stop;
            }
        }
    }
    pairs
}

/// The kernels that serve an attention.
struct Kernels {
    /// Columns they have room for.
    room: usize,
    /// Whether they multiply on tensor cores.
    cores: bool,
}

impl Kernels {
    /// Tensor cores multiply bf16 in steps of 16 dimensions, and their kernels load eight numbers at once; all else is f32.
    fn of(call: &Call<'_>, dim: usize, spans: &[Span]) -> Result<Self, DeviceError> {
        let room = match dim {
            1..=64 => 64,
            65..=128 => 128,
            129..=256 => 256,
            _ => return Err(call.fault(&format!("heads of {dim} dimensions, where 1 to 256 are supported"))),
        };
        let aligned = spans.iter().all(|span| span.at.0.is_multiple_of(16));
        Ok(Self { room, cores: call.kind == Kind::Bf16 && room <= 128 && dim.is_multiple_of(16) && aligned })
    }

    fn launch(&self, call: &Call<'_>, part: &str, blocks: [usize; 3], arguments: &[Argument]) -> Done {
        let (cores, threads) = if self.cores { ("_core", CORE_THREADS) } else { ("", THREADS) };
        call.launch_in(threads, &format!("attention{cores}{part}_{}", self.room), blocks, arguments)
    }
}

/// Arguments that say how large everything is.
fn sizes(call: &Call<'_>, shape: Shape, tiling: &Tiling) -> Result<Vec<Argument>, DeviceError> {
    let Shape { heads, kv_heads, head_dim, scale, window } = shape;
    if kv_heads == 0 || heads % kv_heads != 0 {
        return Err(call.fault(&format!("{heads} heads over {kv_heads} heads of keys")));
    }
    Ok(vec![
        Argument::U32(call.number("rows", tiling.rows)?),
        Argument::U32(call.number("heads", heads)?),
        Argument::U32(call.number("heads", kv_heads)?),
        Argument::U32(call.number("columns", head_dim)?),
        Argument::U32(window.map_or(u32::MAX, |window| u32::try_from(window).unwrap_or(u32::MAX))),
        Argument::F32(scale),
    ])
}

/// Fails unless the spans that forward and backward share hold all rows.
fn check(call: &Call<'_>, shape: Shape, tiling: &Tiling, words: Span, [qkv, out, lse]: [Span; 3]) -> Done {
    let (rows, narrow) = (tiling.rows, shape.heads * shape.head_dim);
    call.exact("the tiling", words, Kind::U32, tiling.words.len())?;
    call.least("q|k|v", qkv, call.kind, rows * (narrow + 2 * shape.kv_heads * shape.head_dim))?;
    call.least("the result", out, call.kind, rows * narrow)?;
    call.least("the log-sum-exp", lse, Kind::F32, rows * shape.heads)
}

/// `out = softmax(scale * q k^T) v` for each segment and head. `qkv` is `[rows, (heads + 2 kv_heads) * head_dim]`, `out`
/// `[rows, heads * head_dim]`; `lse` (f32 `[rows, heads]`) takes the log-sum-exp of the scores. `words` are the tiling's,
/// uploaded. Rows of no segment become 0.
///
/// # Errors
/// When a span does not fit, or the device refuses.
#[allow(clippy::too_many_arguments)] // the processor's form with the device in front
pub fn attention(
    device: &dyn Device,
    kind: Kind,
    shape: Shape,
    tiling: &Tiling,
    words: Span,
    qkv: Span,
    out: Span,
    lse: Span,
) -> Done {
    let call = Call::new(device, kind, "attention")?;
    check(&call, shape, tiling, words, [qkv, out, lse])?;
    let own = [pointer(qkv), pointer(out), pointer(lse), pointer(words), tiling.part(words, 0), tiling.part(words, 1)];
    let arguments = [&own[..], &sizes(&call, shape, tiling)?].concat();
    let kernels = Kernels::of(&call, shape.head_dim, &[qkv, out])?;
    kernels.launch(&call, "", [tiling.tiles(), shape.heads, 1], &arguments)
}

/// How many f32 numbers of scratch [`attention_backward`] takes.
#[must_use]
pub fn attention_scratch(shape: Shape, tiling: &Tiling) -> usize {
    tiling.rows * shape.heads + tiling.slots * shape.kv_heads * 2 * TILE * shape.head_dim
}

/// The backward of [`attention`]: `gradient`, shaped as `qkv`, is overwritten with the gradient of q, k and v. `scratch` is f32
/// of [`attention_scratch`] numbers.
///
/// # Errors
/// When a span does not fit, or the device refuses.
#[allow(clippy::too_many_arguments)] // the processor's form with the device in front
pub fn attention_backward(
    device: &dyn Device,
    kind: Kind,
    shape: Shape,
    tiling: &Tiling,
    words: Span,
    qkv: Span,
    out: Span,
    lse: Span,
    d_out: Span,
    gradient: Span,
    scratch: Span,
) -> Done {
    let call = Call::new(device, kind, "attention_backward")?;
    check(&call, shape, tiling, words, [qkv, out, lse])?;
    check(&call, shape, tiling, words, [gradient, d_out, lse])?;
    call.least("the scratch", scratch, Kind::F32, attention_scratch(shape, tiling))?;
    let sizes = sizes(&call, shape, tiling)?;
    let kernels = Kernels::of(&call, shape.head_dim, &[qkv, d_out, gradient])?;
    let deltas = tiling.rows * shape.heads;
    let heads_in_all = Argument::U32(call.number("heads in all", deltas)?);
    let delta = [pointer(out), pointer(d_out), pointer(scratch), heads_in_all, sizes[3]];
    call.launch("attention_delta", [deltas.div_ceil(WARPS), 1, 1], &delta)?;
    let shared = [pointer(qkv), pointer(d_out), pointer(lse), pointer(scratch), pointer(gradient), pointer(words)];
    let queries = [&shared[..], &[tiling.part(words, 0), tiling.part(words, 1)], &sizes].concat();
    kernels.launch(&call, "_queries", [tiling.tiles(), shape.heads, 1], &queries)?;
    let partial = Argument::Pointer(Address(scratch.at.0 + 4 * deltas as u64));
    let keys = [&shared[..], &[partial, tiling.part(words, 2), tiling.part(words, 3)], &sizes].concat();
    kernels.launch(&call, "_keys", [tiling.items, shape.kv_heads, 1], &keys)?;
    let sums = [&[partial, pointer(gradient), tiling.part(words, 4)][..], &sizes].concat();
    call.launch("attention_sum", [tiling.splits, shape.kv_heads, 1], &sums)
}
