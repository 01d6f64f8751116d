// Causal attention in tiles of TILE packed rows: queries by keys. `model::device::ops::attention` makes the lists of
// tiles.
//
// A thread (tx, ty) of 16 by 16 has four rows of a tile, ty * 4 and on, and either four of its columns, tx * 4 and on,
// or, of sums over head dimensions, columns 64 n + tx * 4 and on. ROOM is a multiple of 64 that head_dim fits in; what
// is beyond is neither read nor written. Matrices lie in shared memory so that a thread's four numbers are one load.
// The online softmax is that of Dao et al. 2022 (FlashAttention); the backward is theirs with queries and keys in
// kernels of their own, so that no number is added to from two blocks.

#define TILE 64
#define PITCH 68 // of rows of 64 numbers in shared memory: four aligned, banks spread
#define DEPTH 32 // head dimensions of queries and keys in shared memory at once
#define STAGE (2 * DEPTH * PITCH)

// The sizes of an attention.
struct Sizes {
    u32 rows, heads, kv_heads, dim, window;
    float scale;
};

__device__ __forceinline__ u64 qkv_pitch(Sizes s) { return (u64)(s.heads + 2 * s.kv_heads) * s.dim; }
__device__ __forceinline__ u64 out_pitch(Sizes s) { return (u64)s.heads * s.dim; }

// Which keys a query sees: rows low..=row and prefix rows from..to.
struct Sight {
    u32 row, low, from, to;
};

// Row `row`'s sight, by the first row of its segment, and first row and length of its prefix.
__device__ __forceinline__ Sight sight(const u32 *places, u32 row, Sizes s) {
    Sight seen = {row, 1, 0, 0};
    if (row >= s.rows) {
        seen.row = 0; // rows 1..=0: none
        return seen;
    }
    u32 own = places[(u64)row * 3], first = places[(u64)row * 3 + 1], len = places[(u64)row * 3 + 2];
    u32 before = row + 1 - own; // tokens of its own segment up to itself; 0 for a row of no segment
    seen.low = s.window < before ? row + 1 - s.window : own;
    u32 position = len + before; // tokens up to itself
    u32 skipped = s.window < position ? position - s.window : 0;
    seen.from = first + (skipped < len ? skipped : len);
    seen.to = first + len;
    return seen;
}

__device__ __forceinline__ bool sees(Sight q, u32 key) {
    return (key >= q.low && key <= q.row) || (key >= q.from && key < q.to);
}

// One pair of tiles from a list: which, whether all is seen, and whether the window leaves nothing of it.
struct Pair {
    u32 tile;
    bool full, skip;
};

__device__ __forceinline__ Pair pair_at(const u32 *pairs, u32 i, u32 window) {
    u32 word = pairs[(u64)i * 3], nearest = pairs[(u64)i * 3 + 1], farthest = pairs[(u64)i * 3 + 2];
    Pair pair = {word >> 1, (word & 1) && farthest < window, nearest >= window};
    return pair;
}

// Head dimensions d..d+DEPTH of a tile's rows to shared memory, [DEPTH][PITCH]: 0 beyond `count` rows and `dim`
// columns.
__device__ __forceinline__ void stage_turned(const T *from, u64 pitch, u32 count, u32 d, u32 dim, float *to) {
    u32 me = threadIdx.x;
    // Eight columns by four rows a warp: whole sectors are read, and every lane writes a bank of its own.
    u32 column = me % 8, row = me / 8;
    for (u32 r = row; r < TILE; r += THREADS / 8)
        for (u32 c = column; c < DEPTH; c += 8)
            to[c * PITCH + r] = r < count && d + c < dim ? widen(from[r * pitch + d + c]) : 0.0f;
}

// sum += a b^T over head dimensions: rows of `a` are this thread's rows, rows of `b` its columns.
__device__ __forceinline__ void multiply(const T *a, u64 a_pitch, u32 a_rows, const T *b, u64 b_pitch, u32 b_rows,
        u32 dim, float *stage, float sum[4][4]) {
    u32 tx = threadIdx.x % 16, ty = threadIdx.x / 16;
    float *left = stage, *right = stage + DEPTH * PITCH;
    for (u32 d = 0; d < dim; d += DEPTH) {
        __syncthreads(); // whoever still reads the stage
        stage_turned(a, a_pitch, a_rows, d, dim, left);
        stage_turned(b, b_pitch, b_rows, d, dim, right);
        __syncthreads();
        u32 depth = dim - d < DEPTH ? dim - d : DEPTH;
#pragma unroll 8
        for (u32 k = 0; k < depth; k++) {
            float u[4], v[4];
            load_wide(left + k * PITCH + ty * 4, u);
            load_wide(right + k * PITCH + tx * 4, v);
#pragma unroll
            for (int i = 0; i < 4; i++)
#pragma unroll
                for (int j = 0; j < 4; j++) sum[i][j] += u[i] * v[j];
        }
    }
}

// sum[i][..] += sum over j of tile[j][i] * rows[j]: `tile` is [TILE][PITCH] in shared memory, `rows` are `count` of
// `dim` columns.
template <int ROOM>
__device__ __forceinline__ void mix(const float *tile, const T *rows, u64 pitch, u32 count, u32 dim, float *stage,
        float sum[4][ROOM / 16]) {
    u32 me = threadIdx.x, tx = me % 16, ty = me / 16;
    const u32 some = 4096 / ROOM; // rows in shared memory at once
    for (u32 from = 0; from < count; from += some) {
        __syncthreads(); // whoever still reads the stage; and the tile is written
        for (u32 at = me; at < 4096; at += THREADS) {
            u32 r = from + at / ROOM, c = at % ROOM;
            stage[at] = r < count && c < dim ? widen(rows[r * pitch + c]) : 0.0f;
        }
        __syncthreads();
        u32 whole = count - from < some ? count - from : some;
#pragma unroll
        for (int n = 0; n < ROOM / 64; n++) {
            if (n * 64 + tx * 4 >= dim) break;
#pragma unroll 4
            for (u32 j = 0; j < whole; j++) {
                float u[4], v[4];
                load_wide(tile + (from + j) * PITCH + ty * 4, u);
                load_wide(stage + j * ROOM + n * 64 + tx * 4, v);
#pragma unroll
                for (int i = 0; i < 4; i++)
#pragma unroll
                    for (int c = 0; c < 4; c++) sum[i][n * 4 + c] += u[i] * v[c];
            }
        }
    }
}

// This thread's sums, times `factor[i]`, to its four of `count` rows of `dim` columns.
template <int ROOM, typename N>
__device__ __forceinline__ void put(const float sum[4][ROOM / 16], const float factor[4], N *rows, u64 pitch, u32 count,
        u32 dim) {
    u32 tx = threadIdx.x % 16, ty = threadIdx.x / 16;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        if (ty * 4 + i >= count) break;
#pragma unroll
        for (int n = 0; n < ROOM / 64; n++) {
#pragma unroll
            for (int c = 0; c < 4; c++) {
                u32 column = n * 64 + tx * 4 + c;
                if (column < dim) narrow(sum[i][n * 4 + c] * factor[i], rows + (ty * 4 + i) * pitch + column);
            }
        }
    }
}

__device__ __forceinline__ u32 tile_rows(u32 tile, Sizes s) {
    u32 rows = s.rows - tile * TILE;
    return rows < TILE ? rows : TILE;
}

#define MINUS_INFINITY (-__uint_as_float(0x7f800000u))

template <int ROOM>
__device__ __forceinline__ void forward(const T *qkv, T *out, float *lse, const u32 *places, const u32 *starts,
        const u32 *pairs, Sizes s) {
    SHARED(float, stage, STAGE);
    SHARED(float, tile, TILE * PITCH);
    u32 tx = threadIdx.x % 16, ty = threadIdx.x / 16;
    u32 queries = gridDim.x - 1 - blockIdx.x, head = blockIdx.y; // the last tiles, which see most, begin first
    u32 group = head / (s.heads / s.kv_heads);
    u64 pitch = qkv_pitch(s);
    u32 count = tile_rows(queries, s);
    const T *q = qkv + (u64)queries * TILE * pitch + head * s.dim;
    // In shared memory, for registers are few; written before the barriers of the first product.
    SHARED(Sight, seen, TILE);
    if (threadIdx.x < TILE) seen[threadIdx.x] = sight(places, queries * TILE + threadIdx.x, s);
    float top[4], total[4], sum[4][ROOM / 16];
#pragma unroll
    for (int i = 0; i < 4; i++) {
        top[i] = MINUS_INFINITY, total[i] = 0.0f;
#pragma unroll
        for (int c = 0; c < ROOM / 16; c++) sum[i][c] = 0.0f;
    }
    for (u32 at = starts[queries]; at < starts[queries + 1]; at++) {
        Pair pair = pair_at(pairs, at, s.window);
        if (pair.skip) continue;
        const T *k = qkv + (u64)pair.tile * TILE * pitch + (s.heads + group) * s.dim;
        const T *v = k + s.kv_heads * s.dim;
        u32 keys = tile_rows(pair.tile, s);
        float p[4][4] = {};
        multiply(q, pitch, count, k, pitch, keys, s.dim, stage, p);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            float highest = MINUS_INFINITY, added = 0.0f;
#pragma unroll
            for (int j = 0; j < 4; j++) {
                bool visible = pair.full || sees(seen[ty * 4 + i], pair.tile * TILE + tx * 4 + j);
                p[i][j] = visible ? p[i][j] * s.scale : MINUS_INFINITY;
                highest = fmaxf(highest, p[i][j]);
            }
            // A row's numbers are with 16 lanes next to one another.
#pragma unroll
            for (int step = 8; step > 0; step /= 2) highest = fmaxf(highest, __shfl_xor_sync(ALL_LANES, highest, step));
            float now = fmaxf(top[i], highest);
            float base = now == MINUS_INFINITY ? 0.0f : now; // nothing seen so far
#pragma unroll
            for (int j = 0; j < 4; j++) {
                p[i][j] = expf(p[i][j] - base);
                added += p[i][j];
            }
#pragma unroll
            for (int step = 8; step > 0; step /= 2) added += __shfl_xor_sync(ALL_LANES, added, step);
            float shrink = expf(top[i] - base);
            top[i] = now;
            total[i] = total[i] * shrink + added;
#pragma unroll
            for (int c = 0; c < ROOM / 16; c++) sum[i][c] *= shrink;
        }
        // All have read the last tile: the barriers in `multiply` lie between.
#pragma unroll
        for (int j = 0; j < 4; j++) {
            float turned[4] = {p[0][j], p[1][j], p[2][j], p[3][j]};
            store_wide(turned, tile + (tx * 4 + j) * PITCH + ty * 4);
        }
        mix<ROOM>(tile, v, pitch, keys, s.dim, stage, sum);
    }
    float factor[4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
        bool none = total[i] == 0.0f && top[i] == MINUS_INFINITY; // a row of no segment
        factor[i] = none ? 0.0f : 1.0f / total[i];
        u64 row = (u64)queries * TILE + ty * 4 + i;
        if (tx == 0 && row < s.rows) lse[row * s.heads + head] = none ? 0.0f : top[i] + logf(total[i]);
    }
    put<ROOM>(sum, factor, out + (u64)queries * TILE * out_pitch(s) + head * s.dim, out_pitch(s), count, s.dim);
}

// delta = sum over head dimensions of out * d_out, for each row and head: a warp has one.
KERNEL(attention_delta, (const T *out, const T *d_out, float *delta, u32 count, u32 dim)) {
    u32 head = blockIdx.x * WARPS + threadIdx.x / WARP;
    if (head >= count) return;
    float sum = 0.0f;
    u64 at = (u64)head * dim;
    for (u32 i = threadIdx.x % WARP; i < dim; i += WARP) sum += widen(out[at + i]) * widen(d_out[at + i]);
    sum = warp_sum(sum);
    if (threadIdx.x % WARP == 0) delta[head] = sum;
}

// From products q k and do v of a pair of tiles to probabilities and gradients of scores. `along` is a row's delta.
__device__ __forceinline__ void soften(float p[4][4], float ds[4][4], const Sight seen[4], const float lse[4],
        const float along[4], Pair pair, u32 first_key, float scale) {
    u32 tx = threadIdx.x % 16;
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j++) {
            bool visible = pair.full || sees(seen[i], first_key + tx * 4 + j);
            p[i][j] = visible ? expf(p[i][j] * scale - lse[i]) : 0.0f;
            ds[i][j] = visible ? p[i][j] * (ds[i][j] - along[i]) * scale : 0.0f;
        }
}

// What the backward kernels need of this thread's four queries.
__device__ __forceinline__ void look_up(const u32 *places, const float *lse, const float *delta, u32 tile, u32 head,
        Sizes s, Sight seen[4], float sums[4], float along[4]) {
    u32 first = tile * TILE + threadIdx.x / 16 * 4;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        seen[i] = sight(places, first + i, s);
        u64 at = (u64)(first + i) * s.heads + head;
        sums[i] = first + i < s.rows ? lse[at] : 0.0f;
        along[i] = first + i < s.rows ? delta[at] : 0.0f;
    }
}

// Gradients of a tile of queries of one head.
template <int ROOM>
__device__ __forceinline__ void backward_queries(const T *qkv, const T *d_out, const float *lse, const float *delta,
        T *gradient, const u32 *places, const u32 *starts, const u32 *pairs, Sizes s) {
    SHARED(float, stage, STAGE);
    SHARED(float, tile, TILE * PITCH);
    u32 tx = threadIdx.x % 16, ty = threadIdx.x / 16;
    u32 queries = gridDim.x - 1 - blockIdx.x, head = blockIdx.y;
    u32 group = head / (s.heads / s.kv_heads);
    u64 pitch = qkv_pitch(s);
    u32 count = tile_rows(queries, s);
    const T *q = qkv + (u64)queries * TILE * pitch + head * s.dim;
    const T *d = d_out + (u64)queries * TILE * out_pitch(s) + head * s.dim;
    Sight seen[4];
    float sums[4], along[4], sum[4][ROOM / 16] = {};
    look_up(places, lse, delta, queries, head, s, seen, sums, along);
    for (u32 at = starts[queries]; at < starts[queries + 1]; at++) {
        Pair pair = pair_at(pairs, at, s.window);
        if (pair.skip) continue;
        const T *k = qkv + (u64)pair.tile * TILE * pitch + (s.heads + group) * s.dim;
        const T *v = k + s.kv_heads * s.dim;
        u32 keys = tile_rows(pair.tile, s);
        float p[4][4] = {}, ds[4][4] = {};
        multiply(q, pitch, count, k, pitch, keys, s.dim, stage, p);
        multiply(d, out_pitch(s), count, v, pitch, keys, s.dim, stage, ds);
        soften(p, ds, seen, sums, along, pair, pair.tile * TILE, s.scale);
#pragma unroll
        for (int j = 0; j < 4; j++) {
            float turned[4] = {ds[0][j], ds[1][j], ds[2][j], ds[3][j]};
            store_wide(turned, tile + (tx * 4 + j) * PITCH + ty * 4);
        }
        mix<ROOM>(tile, k, pitch, keys, s.dim, stage, sum);
    }
    const float one[4] = {1.0f, 1.0f, 1.0f, 1.0f};
    put<ROOM>(sum, one, gradient + (u64)queries * TILE * pitch + head * s.dim, pitch, count, s.dim);
}

// Gradients of a tile of keys and values of one group of heads, or a share of their sums: `items` are four words each,
// tile, first and last pair, and the share's slot (all ones: write to `gradient`).
template <int ROOM>
__device__ __forceinline__ void backward_keys(const T *qkv, const T *d_out, const float *lse, const float *delta,
        T *gradient, const u32 *places, float *partial, const u32 *items, const u32 *pairs, Sizes s) {
    SHARED(float, stage, STAGE);
    SHARED(float, tile, TILE * PITCH);
    u32 tx = threadIdx.x % 16, ty = threadIdx.x / 16;
    u32 group = blockIdx.y, share = s.heads / s.kv_heads;
    const u32 *item = items + (u64)blockIdx.x * 4;
    u32 keys = item[0], slot = item[3];
    u64 pitch = qkv_pitch(s);
    u32 count = tile_rows(keys, s);
    const T *k = qkv + (u64)keys * TILE * pitch + (s.heads + group) * s.dim;
    const T *v = k + s.kv_heads * s.dim;
    float d_key[4][ROOM / 16] = {}, d_value[4][ROOM / 16] = {};
    for (u32 at = item[1]; at < item[2]; at++) {
        Pair pair = pair_at(pairs, at, s.window);
        if (pair.skip) continue;
        u32 queries = tile_rows(pair.tile, s);
        for (u32 head = group * share; head < (group + 1) * share; head++) {
            const T *q = qkv + (u64)pair.tile * TILE * pitch + head * s.dim;
            const T *d = d_out + (u64)pair.tile * TILE * out_pitch(s) + head * s.dim;
            Sight seen[4];
            float sums[4], along[4], p[4][4] = {}, ds[4][4] = {};
            look_up(places, lse, delta, pair.tile, head, s, seen, sums, along);
            multiply(q, pitch, queries, k, pitch, count, s.dim, stage, p);
            multiply(d, out_pitch(s), queries, v, pitch, count, s.dim, stage, ds);
            soften(p, ds, seen, sums, along, pair, keys * TILE, s.scale);
#pragma unroll
            for (int i = 0; i < 4; i++) store_wide(p[i], tile + (ty * 4 + i) * PITCH + tx * 4);
            mix<ROOM>(tile, d, out_pitch(s), queries, s.dim, stage, d_value);
            __syncthreads(); // all have read the probabilities
#pragma unroll
            for (int i = 0; i < 4; i++) store_wide(ds[i], tile + (ty * 4 + i) * PITCH + tx * 4);
            mix<ROOM>(tile, q, pitch, queries, s.dim, stage, d_key);
        }
    }
    const float one[4] = {1.0f, 1.0f, 1.0f, 1.0f};
    if (slot == 0xffffffffu) {
        T *to = gradient + (u64)keys * TILE * pitch + (s.heads + group) * s.dim;
        put<ROOM>(d_key, one, to, pitch, count, s.dim);
        put<ROOM>(d_value, one, to + s.kv_heads * s.dim, pitch, count, s.dim);
    } else {
        float *to = partial + ((u64)slot * s.kv_heads + group) * 2 * TILE * s.dim;
        put<ROOM>(d_key, one, to, s.dim, count, s.dim);
        put<ROOM>(d_value, one, to + TILE * s.dim, s.dim, count, s.dim);
    }
}

// Adds up the shares of a tile of keys: `splits` are three words each, tile, first slot and how many.
KERNEL(attention_sum, (const float *partial, T *gradient, const u32 *splits, u32 rows, u32 heads, u32 kv_heads, u32 dim,
        u32 window, float scale)) {
    Sizes s = {rows, heads, kv_heads, dim, window, scale};
    const u32 *split = splits + (u64)blockIdx.x * 3;
    u32 keys = split[0], group = blockIdx.y;
    u64 pitch = qkv_pitch(s), slot = (u64)kv_heads * 2 * TILE * dim;
    const float *from = partial + ((u64)split[1] * kv_heads + group) * 2 * TILE * dim;
    u32 count = tile_rows(keys, s);
    for (u32 at = threadIdx.x; at < 2 * count * dim; at += THREADS) {
        u32 value = at / (count * dim), row = at % (count * dim) / dim, column = at % dim;
        float sum = 0.0f;
        for (u32 i = 0; i < split[2]; i++) sum += from[i * slot + (value * TILE + row) * dim + column];
        narrow(sum, gradient + ((u64)keys * TILE + row) * pitch + (heads + value * kv_heads + group) * dim + column);
    }
}

#define ATTENTION(ROOM)                                                                                               \
    KERNEL(attention_##ROOM, (const T *qkv, T *out, float *lse, const u32 *places, const u32 *starts,                 \
            const u32 *pairs, u32 rows, u32 heads, u32 kv_heads, u32 dim, u32 window, float scale)) {                 \
        Sizes s = {rows, heads, kv_heads, dim, window, scale};                                                        \
        forward<ROOM>(qkv, out, lse, places, starts, pairs, s);                                                       \
    }                                                                                                                 \
    KERNEL(attention_queries_##ROOM, (const T *qkv, const T *d_out, const float *lse, const float *delta,             \
            T *gradient, const u32 *places, const u32 *starts, const u32 *pairs, u32 rows, u32 heads, u32 kv_heads,   \
            u32 dim, u32 window, float scale)) {                                                                      \
        Sizes s = {rows, heads, kv_heads, dim, window, scale};                                                        \
        backward_queries<ROOM>(qkv, d_out, lse, delta, gradient, places, starts, pairs, s);                           \
    }                                                                                                                 \
    KERNEL(attention_keys_##ROOM, (const T *qkv, const T *d_out, const float *lse, const float *delta, T *gradient,   \
            const u32 *places, float *partial, const u32 *items, const u32 *pairs, u32 rows, u32 heads,               \
            u32 kv_heads, u32 dim, u32 window, float scale)) {                                                        \
        Sizes s = {rows, heads, kv_heads, dim, window, scale};                                                        \
        backward_keys<ROOM>(qkv, d_out, lse, delta, gradient, places, partial, items, pairs, s);                      \
    }

ATTENTION(64)
ATTENTION(128)
ATTENTION(256)
