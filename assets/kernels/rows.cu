// Rows: embedding, norms, rotary, gathering, scattering. Where sums are taken, a warp has a row.

// Which four columns of its row this thread has, in grids of a row in blocks.
__device__ __forceinline__ u32 column() { return (blockIdx.y * THREADS + threadIdx.x) * 4; }

KERNEL(embed, (const T *table, u32 vocab, u32 hidden, const u32 *tokens, float scale, T *x, u32 wide)) {
    u64 row = blockIdx.x;
    u32 at = column();
    if (at >= hidden) return;
    u32 token = tokens[row];
    float v[4];
    if (token < vocab) {
        load(table + (u64)token * hidden, at, hidden, wide, v);
        for (int c = 0; c < 4; c++) v[c] *= scale;
    } else {
        for (int c = 0; c < 4; c++) v[c] = not_a_number();
    }
    store(v, x + row * hidden, at, hidden, wide);
}

// Mean (0 for an RMS norm) and the reciprocal of the root of variance (of the mean square) plus eps, of a warp's row.
__device__ __forceinline__ void statistics(const T *x, u32 width, float eps, u32 layer, u32 wide, float *mean,
        float *r) {
    u32 lane = threadIdx.x % WARP;
    float sum = 0.0f, v[4];
    if (layer) {
        for (u32 i = lane * 4; i < width; i += WARP * 4) {
            load(x, i, width, wide, v);
            sum += (v[0] + v[1]) + (v[2] + v[3]);
        }
        sum = warp_sum(sum) / width;
    }
    float squares = 0.0f;
    for (u32 i = lane * 4; i < width; i += WARP * 4) {
        load(x, i, width, wide, v);
        for (int c = 0; c < 4; c++) {
            float d = i + c < width ? v[c] - sum : 0.0f;
            squares += d * d;
        }
    }
    *mean = sum;
    *r = 1.0f / sqrtf(warp_sum(squares) / width + eps);
}

KERNEL(norm_forward, (const T *x, const float *scale, const float *bias, float eps, u32 layer, T *y, u32 rows,
        u32 width, u32 wide)) {
    u64 row = (u64)blockIdx.x * WARPS + threadIdx.x / WARP;
    if (row >= rows) return;
    x += row * width, y += row * width;
    float mean, r;
    statistics(x, width, eps, layer, wide, &mean, &r);
    for (u32 i = threadIdx.x % WARP * 4; i < width; i += WARP * 4) {
        float v[4], s[4], b[4] = {0.0f, 0.0f, 0.0f, 0.0f};
        load(x, i, width, wide, v);
        load(scale, i, width, wide, s);
        if (bias) load(bias, i, width, wide, b);
        for (int c = 0; c < 4; c++) v[c] = (v[c] - mean) * r * s[c] + b[c];
        store(v, y, i, width, wide);
    }
}

// The gradient of a warp's row before its norm: added to dx, or put there.
__device__ __forceinline__ void row_backward(const T *x, const float *scale, float eps, u32 layer, const T *dy, T *dx,
        bool put, u32 width, u32 wide) {
    float mean, r;
    statistics(x, width, eps, layer, wide, &mean, &r);
    float plain = 0.0f, along = 0.0f;
    float v[4], s[4], g[4];
    for (u32 i = threadIdx.x % WARP * 4; i < width; i += WARP * 4) {
        load(x, i, width, wide, v);
        load(scale, i, width, wide, s);
        load(dy, i, width, wide, g);
        for (int c = 0; c < 4; c++) {
            g[c] *= s[c]; // 0 beyond the row
            plain += g[c];
            along += g[c] * ((v[c] - mean) * r);
        }
    }
    along = warp_sum(along) / width;
    plain = layer ? warp_sum(plain) / width : 0.0f;
    for (u32 i = threadIdx.x % WARP * 4; i < width; i += WARP * 4) {
        float d[4] = {0.0f, 0.0f, 0.0f, 0.0f};
        load(x, i, width, wide, v);
        load(scale, i, width, wide, s);
        load(dy, i, width, wide, g);
        if (!put) load(dx, i, width, wide, d);
        for (int c = 0; c < 4; c++) d[c] += r * (g[c] * s[c] - plain - (v[c] - mean) * r * along);
        store(d, dx, i, width, wide);
    }
}

KERNEL(norm_backward, (const T *x, const float *scale, float eps, u32 layer, const T *dy, T *dx, u32 rows, u32 width,
        u32 wide)) {
    u64 row = (u64)blockIdx.x * WARPS + threadIdx.x / WARP;
    if (row >= rows) return;
    row_backward(x + row * width, scale, eps, layer, dy + row * width, dx + row * width, false, width, wide);
}

// The RMS norm of heads within rows, in place.
KERNEL(head_norm, (T *x, u32 stride, u32 first, u32 count, u32 dim, const float *scale, float eps, u32 rows,
        u32 wide)) {
    u32 head = blockIdx.x * WARPS + threadIdx.x / WARP;
    if (head >= rows * count) return;
    x += (u64)(head / count) * stride + first + head % count * dim;
    float mean, r;
    statistics(x, dim, eps, 0, wide, &mean, &r);
    for (u32 i = threadIdx.x % WARP * 4; i < dim; i += WARP * 4) {
        float v[4], s[4];
        load(x, i, dim, wide, v);
        load(scale, i, dim, wide, s);
        for (int c = 0; c < 4; c++) v[c] = v[c] * r * s[c];
        store(v, x, i, dim, wide);
    }
}

KERNEL(head_norm_backward, (const T *x, T *gradient, u32 stride, u32 first, u32 count, u32 dim, const float *scale,
        float eps, u32 rows, u32 wide)) {
    u32 head = blockIdx.x * WARPS + threadIdx.x / WARP;
    if (head >= rows * count) return;
    u64 at = (u64)(head / count) * stride + first + head % count * dim;
    row_backward(x + at, scale, eps, 0, gradient + at, gradient + at, true, dim, wide);
}

// Dimension i of a head turns with dimension i + half.
KERNEL(rotary, (const float *cosines, const float *sines, u32 length, u32 half, const u32 *positions, T *x, u32 stride,
        u32 heads, u32 dim, float sign)) {
    u32 pair = blockIdx.y * THREADS + threadIdx.x;
    if (pair >= heads * half) return;
    u64 row = blockIdx.x;
    u32 head = pair / half, i = pair % half, position = positions[row];
    float cosine = not_a_number(), sine = cosine;
    if (position < length) {
        cosine = cosines[(u64)position * half + i];
        sine = sines[(u64)position * half + i] * sign;
    }
    T *low = x + row * stride + head * dim + i;
    float a = widen(low[0]), b = widen(low[half]);
    narrow(a * cosine - b * sine, low);
    narrow(b * cosine + a * sine, low + half);
}

// Row i of y is row rows[i] of x, which has `limit` rows.
KERNEL(gather, (const T *x, u32 width, const u32 *rows, u32 limit, T *y, u32 wide)) {
    u32 at = column(), row = rows[blockIdx.x];
    if (at >= width) return;
    float v[4] = {not_a_number(), not_a_number(), not_a_number(), not_a_number()};
    if (row < limit) load(x + (u64)row * width, at, width, wide, v);
    store(v, y + (u64)blockIdx.x * width, at, width, wide);
}

// Row rows[i] of y, which has `limit` rows, is row i of x.
KERNEL(scatter, (const T *x, u32 width, const u32 *rows, u32 limit, T *y, u32 wide)) {
    u32 at = column(), row = rows[blockIdx.x];
    if (at >= width || row >= limit) return;
    float v[4];
    load(x + (u64)blockIdx.x * width, at, width, wide, v);
    store(v, y + (u64)row * width, at, width, wide);
}
