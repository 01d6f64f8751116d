// Single numbers: activations, dropout, sums, conversion. Formulas are those of the processor's kernels.

__device__ __forceinline__ float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

#define SILU 0
#define GELU_TANH 1
// GELU by the error function otherwise.

// The activation's value and slope.
__device__ __forceinline__ void act(u32 code, float x, float *value, float *slope) {
    if (code == SILU) {
        float s = sigmoid(x);
        *value = x * s;
        *slope = s * (x * (1.0f - s) + 1.0f);
    } else if (code == GELU_TANH) { // sqrt(2 / pi) and 0.044715: Hendrycks & Gimpel 2016
        float u = 0.7978846f * x * (0.044715f * x * x + 1.0f);
        float s = sigmoid(2.0f * u);
        float du = 0.7978846f * (3.0f * 0.044715f * x * x + 1.0f);
        *value = x * s;
        *slope = 2.0f * x * du * s * (1.0f - s) + s;
    } else { // 0.3989423 = 1 / sqrt(2 pi)
        float below = 0.5f * (1.0f + erff(x * 0.70710678f));
        *value = x * below;
        *slope = x * 0.3989423f * expf(-0.5f * x * x) + below;
    }
}

KERNEL(activate, (const T *x, T *y, u32 width, u32 gated, u32 code, u32 wide)) {
    u64 row = blockIdx.x;
    u32 at = column();
    if (at >= width) return;
    x += row * width * (gated ? 2 : 1);
    float v[4], up[4] = {1.0f, 1.0f, 1.0f, 1.0f};
    load(x, at, width, wide, v);
    if (gated) load(x + width, at, width, wide, up);
    for (int c = 0; c < 4; c++) {
        float value, slope;
        act(code, v[c], &value, &slope);
        v[c] = value * up[c];
    }
    store(v, y + row * width, at, width, wide);
}

KERNEL(activate_backward, (T *x, const T *dy, u32 width, u32 gated, u32 code, u32 wide)) {
    u64 row = blockIdx.x;
    u32 at = column();
    if (at >= width) return;
    x += row * width * (gated ? 2 : 1);
    float v[4], g[4], up[4] = {1.0f, 1.0f, 1.0f, 1.0f};
    load(x, at, width, wide, v);
    load(dy + row * width, at, width, wide, g);
    if (gated) load(x + width, at, width, wide, up);
    for (int c = 0; c < 4; c++) {
        float value, slope;
        act(code, v[c], &value, &slope);
        v[c] = g[c] * up[c] * slope;
        up[c] = g[c] * value;
    }
    store(v, x, at, width, wide);
    if (gated) store(up, x + width, at, width, wide);
}

// Which four numbers this thread has of a flat stretch.
__device__ __forceinline__ u64 place() { return ((u64)blockIdx.x * THREADS + threadIdx.x) * 4; }

// The processor's hash of an element's column under a key.
__device__ __forceinline__ u32 draw(u32 column, u32 key0, u32 key1) {
    u32 z = column * 0x9E3779B9u ^ key0;
    z = (z ^ (z >> 16)) * 0x85EBCA6Bu + key1;
    z = (z ^ (z >> 13)) * 0xC2B2AE35u;
    return z ^ (z >> 16);
}

// The factors of four elements from `at` on, in rows of `width` that have a key each. Those past `n` are none.
__device__ __forceinline__ void factors(u64 at, u64 n, const u32 *rows, u32 width, u32 key0, u32 key1, u32 threshold,
                                        float scale, float *factor) {
    u64 row = at / width;
    u32 column = (u32)(at - row * width);
    for (int c = 0; c < 4; c++) {
        factor[c] = at + c < n && draw(column, key0 ^ rows[row], key1) >= threshold ? scale : 0.0f;
        if (++column == width) {
            column = 0;
            row++;
        }
    }
}

KERNEL(drop_out, (const T *x, T *y, u64 n, u32 key0, u32 key1, u32 threshold, float scale, const u32 *rows, u32 width,
                  u32 wide)) {
    u64 at = place();
    if (at >= n) return;
    wide = wide && at + 4 <= n;
    float v[4], factor[4];
    load(x, at, n, wide, v);
    factors(at, n, rows, width, key0, key1, threshold, scale, factor);
    for (int c = 0; c < 4; c++) v[c] *= factor[c];
    store(v, y, at, n, wide);
}

KERNEL(drop_add, (const T *x, T *y, u64 n, u32 key0, u32 key1, u32 threshold, float scale, const u32 *rows, u32 width,
                  u32 wide)) {
    u64 at = place();
    if (at >= n) return;
    wide = wide && at + 4 <= n;
    float v[4], sum[4], factor[4];
    load(x, at, n, wide, v);
    load(y, at, n, wide, sum);
    factors(at, n, rows, width, key0, key1, threshold, scale, factor);
    // Rounded after each operation, as the processor does.
    for (int c = 0; c < 4; c++) sum[c] = __fadd_rn(sum[c], __fmul_rn(v[c], factor[c]));
    store(sum, y, at, n, wide);
}

KERNEL(add_bias, (const float *bias, T *y, u32 width, u32 wide)) {
    u32 at = column();
    if (at >= width) return;
    y += (u64)blockIdx.x * width;
    float v[4], b[4];
    load(y, at, width, wide, v);
    load(bias, at, width, wide, b);
    for (int c = 0; c < 4; c++) v[c] += b[c];
    store(v, y, at, width, wide);
}

KERNEL(add, (T *sum, const T *other, u64 n, u32 wide)) {
    u64 at = place();
    if (at >= n) return;
    wide = wide && at + 4 <= n;
    float v[4], o[4];
    load(sum, at, n, wide, v);
    load(other, at, n, wide, o);
    for (int c = 0; c < 4; c++) v[c] += o[c];
    store(v, sum, at, n, wide);
}

KERNEL(convert, (const float *from, T *to, u64 n, u32 wide)) {
    u64 at = place();
    if (at >= n) return;
    wide = wide && at + 4 <= n;
    float v[4];
    load(from, at, n, wide, v);
    store(v, to, at, n, wide);
}
