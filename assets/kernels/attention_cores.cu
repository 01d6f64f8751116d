// Causal attention in bf16 on tensor cores: the kernels of attention.cu once more for heads of 16, 32, … 128 dimensions.
//
// A block is four warps, and a warp has 16 rows of a tile of TILE: of queries, or of keys in the gradients of keys and values.
// Products are mma.m16n8k16 (PTX ISA, section 9.7.14): of its 16 by 8 results lane (g, t) = (lane / 4, lane % 4) has rows g and
// g + 8 and columns 2 t and 2 t + 1; of its left factor the same rows and, in two words each, columns 2 t, 2 t + 1 and 8 more;
// of its right one column g and, in two words, rows 2 t, 2 t + 1 and 8 more. So results of two products behind one another are,
// rounded, a left factor of the next, and probabilities never leave their lane. Sums are f32.

#define CORE_WARPS 4
#define CORE_THREADS (CORE_WARPS * WARP)
// Words of two numbers from one row of a tile in shared memory to the next: rows begin four banks apart.
#define CORE_PITCH(ROOM) ((ROOM) / 2 + 4)

struct __align__(16) four_words {
    u32 x, y, z, w;
};

#ifdef KERNEL_ON_PROCESSOR
#define multiply_add processor::multiply_add
#else
__device__ __forceinline__ void multiply_add(float c[4], const u32 a[4], u32 b0, u32 b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
#endif

// Two numbers, rounded, in a word: the first in its lower half.
__device__ __forceinline__ u32 both(float first, float second) {
    bf16 low, high;
    narrow(first, &low), narrow(second, &high);
    return (u32)low.bits | (u32)high.bits << 16;
}

// A tile's rows to shared memory: 0 beyond `count` rows and `dim` columns.
template <int ROOM>
__device__ __forceinline__ void core_stage(const bf16 *from, u64 pitch, u32 count, u32 dim, u32 *to) {
    for (u32 at = threadIdx.x; at < TILE * (ROOM / 8); at += CORE_THREADS) {
        u32 row = at / (ROOM / 8), column = at % (ROOM / 8) * 8;
        four_words words = {0, 0, 0, 0};
        if (row < count && column < dim) words = *(const four_words *)(from + row * pitch + column);
        *(four_words *)(to + row * CORE_PITCH(ROOM) + column / 2) = words;
    }
}

// A left factor: rows `row` and row + 8, columns `column`, column + 1 and 8 more.
template <int ROOM> __device__ __forceinline__ void core_left(const u32 *tile, u32 row, u32 column, u32 a[4]) {
    const u32 *low = tile + row * CORE_PITCH(ROOM) + column / 2, *high = low + 8 * CORE_PITCH(ROOM);
    a[0] = low[0], a[1] = high[0], a[2] = low[4], a[3] = high[4];
}

// A right factor whose columns are the tile's rows: c += a tile[row ..]^T over columns `column` and on.
template <int ROOM>
__device__ __forceinline__ void core_by_row(float c[4], const u32 a[4], const u32 *tile, u32 row, u32 column) {
    const u32 *words = tile + row * CORE_PITCH(ROOM) + column / 2;
    multiply_add(c, a, words[0], words[4]);
}

// A right factor that lies as the tile does: c += a tile, rows `row`, row + 1 and 8 more, column `column`.
template <int ROOM>
__device__ __forceinline__ void core_by_column(float c[4], const u32 a[4], const u32 *tile, u32 row, u32 column) {
    const bf16 *at = (const bf16 *)tile + row * 2 * CORE_PITCH(ROOM) + column;
    const u32 pitch = 2 * CORE_PITCH(ROOM);
    u32 low = (u32)at[0].bits | (u32)at[pitch].bits << 16;
    u32 high = (u32)at[8 * pitch].bits | (u32)at[9 * pitch].bits << 16;
    multiply_add(c, a, low, high);
}

// This lane's sums, times `low` and `high`, to rows `row` and row + 8 of `count`: bf16, or f32 for shares.
template <int ROOM, typename N>
__device__ __forceinline__ void core_put(const float sum[ROOM / 8][4], float low, float high, N *rows, u64 pitch, u32 row, u32 count,
                                         u32 dim) {
    u32 t = threadIdx.x % 4;
#pragma unroll
    for (int n = 0; n < ROOM / 8; n++) {
        if (n * 8 >= dim) break;
#pragma unroll
        for (int c = 0; c < 4; c++) {
            u32 to = row + c / 2 * 8, column = n * 8 + t * 2 + c % 2;
            if (to < count) narrow(sum[n][c] * (c < 2 ? low : high), rows + to * pitch + column);
        }
    }
}

template <int ROOM>
__device__ __forceinline__ void core_forward(const bf16 *qkv, bf16 *out, float *lse, const u32 *places, const u32 *starts,
                                             const u32 *pairs, Sizes s) {
    SHARED(u32, keys, TILE *CORE_PITCH(ROOM));
    SHARED(u32, values, TILE *CORE_PITCH(ROOM));
    u32 lane = threadIdx.x % WARP, g = lane / 4, t = lane % 4, row = threadIdx.x / WARP * 16 + g;
    u32 queries = gridDim.x - 1 - blockIdx.x, head = blockIdx.y; // the last tiles, which see most, begin first
    u32 group = head / (s.heads / s.kv_heads);
    u64 pitch = qkv_pitch(s);
    u32 count = tile_rows(queries, s);
    core_stage<ROOM>(qkv + (u64)queries * TILE * pitch + head * s.dim, pitch, count, s.dim, keys);
    __syncthreads();
    u32 q[ROOM / 16][4];
#pragma unroll
    for (int k = 0; k < ROOM / 16; k++) core_left<ROOM>(keys, row, k * 16 + t * 2, q[k]);
    Sight seen[2] = {sight(places, queries * TILE + row, s), sight(places, queries * TILE + row + 8, s)};
    float top[2] = {MINUS_INFINITY, MINUS_INFINITY}, total[2] = {}, sum[ROOM / 8][4] = {};
    for (u32 at = starts[queries]; at < starts[queries + 1]; at++) {
        Pair pair = pair_at(pairs, at, s.window);
        if (pair.skip) continue;
        const bf16 *k = qkv + (u64)pair.tile * TILE * pitch + (s.heads + group) * s.dim;
        u32 there = tile_rows(pair.tile, s);
        __syncthreads(); // all have read the last tiles
        core_stage<ROOM>(k, pitch, there, s.dim, keys);
        core_stage<ROOM>(k + s.kv_heads * s.dim, pitch, there, s.dim, values);
        __syncthreads();
        float p[TILE / 8][4] = {};
#pragma unroll
        for (int k = 0; k < ROOM / 16; k++) {
            if (k * 16 >= s.dim) break;
#pragma unroll
            for (int n = 0; n < TILE / 8; n++) core_by_row<ROOM>(p[n], q[k], keys, n * 8 + g, k * 16 + t * 2);
        }
        float highest[2] = {MINUS_INFINITY, MINUS_INFINITY};
#pragma unroll
        for (int n = 0; n < TILE / 8; n++)
#pragma unroll
            for (int c = 0; c < 4; c++) {
                bool visible = pair.full || sees(seen[c / 2], pair.tile * TILE + n * 8 + t * 2 + c % 2);
                p[n][c] = visible ? p[n][c] * s.scale : MINUS_INFINITY;
                highest[c / 2] = fmaxf(highest[c / 2], p[n][c]);
            }
        float base[2], shrink[2];
#pragma unroll
        for (int i = 0; i < 2; i++) {
            // A row's numbers are with four lanes next to one another.
            highest[i] = fmaxf(highest[i], __shfl_xor_sync(ALL_LANES, highest[i], 1));
            highest[i] = fmaxf(highest[i], __shfl_xor_sync(ALL_LANES, highest[i], 2));
            float now = fmaxf(top[i], highest[i]);
            base[i] = now == MINUS_INFINITY ? 0.0f : now; // nothing seen so far
            shrink[i] = expf(top[i] - base[i]);
            top[i] = now;
            total[i] *= shrink[i];
        }
#pragma unroll
        for (int n = 0; n < TILE / 8; n++)
#pragma unroll
            for (int c = 0; c < 4; c++) {
                p[n][c] = expf(p[n][c] - base[c / 2]);
                total[c / 2] += p[n][c];
            }
#pragma unroll
        for (int n = 0; n < ROOM / 8; n++)
#pragma unroll
            for (int c = 0; c < 4; c++) sum[n][c] *= shrink[c / 2];
#pragma unroll
        for (int k = 0; k < TILE / 16; k++) {
            const float *l = p[2 * k], *r = p[2 * k + 1];
            u32 a[4] = {both(l[0], l[1]), both(l[2], l[3]), both(r[0], r[1]), both(r[2], r[3])};
#pragma unroll
            for (int n = 0; n < ROOM / 8; n++) {
                if (n * 8 >= s.dim) break;
                core_by_column<ROOM>(sum[n], a, values, k * 16 + t * 2, n * 8 + g);
            }
        }
    }
    float factor[2];
#pragma unroll
    for (int i = 0; i < 2; i++) {
        total[i] += __shfl_xor_sync(ALL_LANES, total[i], 1);
        total[i] += __shfl_xor_sync(ALL_LANES, total[i], 2);
        bool none = total[i] == 0.0f && top[i] == MINUS_INFINITY; // a row of no segment
        factor[i] = none ? 0.0f : 1.0f / total[i];
        u64 at = (u64)queries * TILE + row + i * 8;
        if (t == 0 && at < s.rows) lse[at * s.heads + head] = none ? 0.0f : top[i] + logf(total[i]);
    }
    bf16 *to = out + (u64)queries * TILE * out_pitch(s) + head * s.dim;
    core_put<ROOM>(sum, factor[0], factor[1], to, out_pitch(s), row, count, s.dim);
}

// Keys, or queries, whose scores a lane holds at once in the backward: registers are few.
#define CORE_SOME 16

// Gradients of a tile of queries of one head.
template <int ROOM>
__device__ __forceinline__ void core_queries(const bf16 *qkv, const bf16 *d_out, const float *lse, const float *delta,
                                             bf16 *gradient, const u32 *places, const u32 *starts, const u32 *pairs, Sizes s) {
    SHARED(u32, keys, TILE *CORE_PITCH(ROOM));
    SHARED(u32, values, TILE *CORE_PITCH(ROOM));
    u32 lane = threadIdx.x % WARP, g = lane / 4, t = lane % 4, row = threadIdx.x / WARP * 16 + g;
    u32 queries = gridDim.x - 1 - blockIdx.x, head = blockIdx.y;
    u32 group = head / (s.heads / s.kv_heads);
    u64 pitch = qkv_pitch(s);
    u32 count = tile_rows(queries, s);
    core_stage<ROOM>(qkv + (u64)queries * TILE * pitch + head * s.dim, pitch, count, s.dim, keys);
    core_stage<ROOM>(d_out + (u64)queries * TILE * out_pitch(s) + head * s.dim, out_pitch(s), count, s.dim, values);
    __syncthreads();
    u32 q[ROOM / 16][4], d[ROOM / 16][4];
#pragma unroll
    for (int k = 0; k < ROOM / 16; k++) {
        core_left<ROOM>(keys, row, k * 16 + t * 2, q[k]);
        core_left<ROOM>(values, row, k * 16 + t * 2, d[k]);
    }
    Sight seen[2];
    float sums[2], along[2], sum[ROOM / 8][4] = {};
#pragma unroll
    for (int i = 0; i < 2; i++) {
        u32 at = queries * TILE + row + i * 8;
        seen[i] = sight(places, at, s);
        sums[i] = at < s.rows ? lse[(u64)at * s.heads + head] : 0.0f;
        along[i] = at < s.rows ? delta[(u64)at * s.heads + head] : 0.0f;
    }
    for (u32 at = starts[queries]; at < starts[queries + 1]; at++) {
        Pair pair = pair_at(pairs, at, s.window);
        if (pair.skip) continue;
        const bf16 *k = qkv + (u64)pair.tile * TILE * pitch + (s.heads + group) * s.dim;
        u32 there = tile_rows(pair.tile, s);
        __syncthreads(); // all have read the last tiles
        core_stage<ROOM>(k, pitch, there, s.dim, keys);
        core_stage<ROOM>(k + s.kv_heads * s.dim, pitch, there, s.dim, values);
        __syncthreads();
        for (u32 from = 0; from < TILE; from += CORE_SOME) {
            float p[CORE_SOME / 8][4] = {}, ds[CORE_SOME / 8][4] = {};
#pragma unroll
            for (int k = 0; k < ROOM / 16; k++) {
                if (k * 16 >= s.dim) break;
#pragma unroll
                for (int n = 0; n < CORE_SOME / 8; n++) {
                    core_by_row<ROOM>(p[n], q[k], keys, from + n * 8 + g, k * 16 + t * 2);
                    core_by_row<ROOM>(ds[n], d[k], values, from + n * 8 + g, k * 16 + t * 2);
                }
            }
#pragma unroll
            for (int n = 0; n < CORE_SOME / 8; n++)
#pragma unroll
                for (int c = 0; c < 4; c++) {
                    bool visible = pair.full || sees(seen[c / 2], pair.tile * TILE + from + n * 8 + t * 2 + c % 2);
                    float share = visible ? expf(p[n][c] * s.scale - sums[c / 2]) : 0.0f;
                    ds[n][c] = visible ? share * (ds[n][c] - along[c / 2]) * s.scale : 0.0f;
                }
#pragma unroll
            for (int k = 0; k < CORE_SOME / 16; k++) {
                const float *l = ds[2 * k], *r = ds[2 * k + 1];
                u32 a[4] = {both(l[0], l[1]), both(l[2], l[3]), both(r[0], r[1]), both(r[2], r[3])};
#pragma unroll
                for (int n = 0; n < ROOM / 8; n++) {
                    if (n * 8 >= s.dim) break;
                    core_by_column<ROOM>(sum[n], a, keys, from + k * 16 + t * 2, n * 8 + g);
                }
            }
        }
    }
    bf16 *to = gradient + (u64)queries * TILE * pitch + head * s.dim;
    core_put<ROOM>(sum, 1.0f, 1.0f, to, pitch, row, count, s.dim);
}

// Gradients of a tile of keys and values of one group of heads, or a share of their sums, as `backward_keys` has them.
template <int ROOM>
__device__ __forceinline__ void core_keys(const bf16 *qkv, const bf16 *d_out, const float *lse, const float *delta, bf16 *gradient,
                                          const u32 *places, float *partial, const u32 *items, const u32 *pairs, Sizes s) {
    SHARED(u32, asked, TILE *CORE_PITCH(ROOM));
    SHARED(u32, turned, TILE *CORE_PITCH(ROOM));
    SHARED(Sight, seen, TILE);
    SHARED(float, sums, TILE);
    SHARED(float, along, TILE);
    u32 lane = threadIdx.x % WARP, g = lane / 4, t = lane % 4, row = threadIdx.x / WARP * 16 + g;
    u32 group = blockIdx.y, share = s.heads / s.kv_heads;
    const u32 *item = items + (u64)blockIdx.x * 4;
    u32 keys = item[0], slot = item[3];
    u64 pitch = qkv_pitch(s);
    u32 count = tile_rows(keys, s);
    const bf16 *own = qkv + (u64)keys * TILE * pitch + (s.heads + group) * s.dim;
    core_stage<ROOM>(own, pitch, count, s.dim, asked);
    core_stage<ROOM>(own + s.kv_heads * s.dim, pitch, count, s.dim, turned);
    __syncthreads();
    u32 key[ROOM / 16][4], value[ROOM / 16][4];
#pragma unroll
    for (int k = 0; k < ROOM / 16; k++) {
        core_left<ROOM>(asked, row, k * 16 + t * 2, key[k]);
        core_left<ROOM>(turned, row, k * 16 + t * 2, value[k]);
    }
    float d_key[ROOM / 8][4] = {}, d_value[ROOM / 8][4] = {};
    for (u32 at = item[1]; at < item[2]; at++) {
        Pair pair = pair_at(pairs, at, s.window);
        if (pair.skip) continue;
        u32 queries = tile_rows(pair.tile, s);
        for (u32 head = group * share; head < (group + 1) * share; head++) {
            __syncthreads(); // all have read the last tiles
            core_stage<ROOM>(qkv + (u64)pair.tile * TILE * pitch + head * s.dim, pitch, queries, s.dim, asked);
            core_stage<ROOM>(d_out + (u64)pair.tile * TILE * out_pitch(s) + head * s.dim, out_pitch(s), queries, s.dim, turned);
            if (threadIdx.x < TILE) {
                u32 query = pair.tile * TILE + threadIdx.x;
                bool there = query < s.rows;
                seen[threadIdx.x] = sight(places, query, s);
                sums[threadIdx.x] = there ? lse[(u64)query * s.heads + head] : 0.0f;
                along[threadIdx.x] = there ? delta[(u64)query * s.heads + head] : 0.0f;
            }
            __syncthreads();
            for (u32 from = 0; from < TILE; from += CORE_SOME) {
                // Rows are keys here, columns queries.
                float p[CORE_SOME / 8][4] = {}, ds[CORE_SOME / 8][4] = {};
#pragma unroll
                for (int k = 0; k < ROOM / 16; k++) {
                    if (k * 16 >= s.dim) break;
#pragma unroll
                    for (int n = 0; n < CORE_SOME / 8; n++) {
                        core_by_row<ROOM>(p[n], key[k], asked, from + n * 8 + g, k * 16 + t * 2);
                        core_by_row<ROOM>(ds[n], value[k], turned, from + n * 8 + g, k * 16 + t * 2);
                    }
                }
#pragma unroll
                for (int n = 0; n < CORE_SOME / 8; n++)
#pragma unroll
                    for (int c = 0; c < 4; c++) {
                        u32 query = from + n * 8 + t * 2 + c % 2;
                        bool visible = pair.full || sees(seen[query], keys * TILE + row + c / 2 * 8);
                        p[n][c] = visible ? expf(p[n][c] * s.scale - sums[query]) : 0.0f;
                        ds[n][c] = visible ? p[n][c] * (ds[n][c] - along[query]) * s.scale : 0.0f;
                    }
#pragma unroll
                for (int k = 0; k < CORE_SOME / 16; k++) {
                    const float *l = p[2 * k], *r = p[2 * k + 1], *m = ds[2 * k], *o = ds[2 * k + 1];
                    u32 a[4] = {both(l[0], l[1]), both(l[2], l[3]), both(r[0], r[1]), both(r[2], r[3])};
                    u32 b[4] = {both(m[0], m[1]), both(m[2], m[3]), both(o[0], o[1]), both(o[2], o[3])};
#pragma unroll
                    for (int n = 0; n < ROOM / 8; n++) {
                        if (n * 8 >= s.dim) break;
                        core_by_column<ROOM>(d_value[n], a, turned, from + k * 16 + t * 2, n * 8 + g);
                        core_by_column<ROOM>(d_key[n], b, asked, from + k * 16 + t * 2, n * 8 + g);
                    }
                }
            }
        }
    }
    if (slot == 0xffffffffu) {
        bf16 *to = gradient + (u64)keys * TILE * pitch + (s.heads + group) * s.dim;
        core_put<ROOM>(d_key, 1.0f, 1.0f, to, pitch, row, count, s.dim);
        core_put<ROOM>(d_value, 1.0f, 1.0f, to + s.kv_heads * s.dim, pitch, row, count, s.dim);
    } else {
        float *to = partial + ((u64)slot * s.kv_heads + group) * 2 * TILE * s.dim;
        core_put<ROOM>(d_key, 1.0f, 1.0f, to, s.dim, row, count, s.dim);
        core_put<ROOM>(d_value, 1.0f, 1.0f, to + TILE * s.dim, s.dim, row, count, s.dim);
    }
}

#define CORE_ATTENTION(ROOM)                                                                                                      \
    KERNEL(attention_core_##ROOM, (const bf16 *qkv, bf16 *out, float *lse, const u32 *places, const u32 *starts,                  \
                                   const u32 *pairs, u32 rows, u32 heads, u32 kv_heads, u32 dim, u32 window, float scale)) {      \
        Sizes s = {rows, heads, kv_heads, dim, window, scale};                                                                    \
        core_forward<ROOM>(qkv, out, lse, places, starts, pairs, s);                                                              \
    }                                                                                                                             \
    KERNEL(attention_core_queries_##ROOM, (const bf16 *qkv, const bf16 *d_out, const float *lse, const float *delta,              \
                                           bf16 *gradient, const u32 *places, const u32 *starts, const u32 *pairs, u32 rows,      \
                                           u32 heads, u32 kv_heads, u32 dim, u32 window, float scale)) {                          \
        Sizes s = {rows, heads, kv_heads, dim, window, scale};                                                                    \
        core_queries<ROOM>(qkv, d_out, lse, delta, gradient, places, starts, pairs, s);                                           \
    }                                                                                                                             \
    KERNEL(attention_core_keys_##ROOM, (const bf16 *qkv, const bf16 *d_out, const float *lse, const float *delta, bf16 *gradient, \
                                        const u32 *places, float *partial, const u32 *items, const u32 *pairs, u32 rows,          \
                                        u32 heads, u32 kv_heads, u32 dim, u32 window, float scale)) {                             \
        Sizes s = {rows, heads, kv_heads, dim, window, scale};                                                                    \
        core_keys<ROOM>(qkv, d_out, lse, delta, gradient, places, partial, items, pairs, s);                                      \
    }

CORE_ATTENTION(64)
CORE_ATTENTION(128)
