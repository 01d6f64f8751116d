// What touches no activations: the loss's sum, the gradient's norm, the update.

// One block: sum += all weights[i] * losses[i].
KERNEL(weigh_losses, (const float *losses, const float *weights, u64 n, double *sum)) {
    double mine = 0.0;
    for (u64 i = threadIdx.x; i < n; i += THREADS) mine += (double)weights[i] * (double)losses[i];
    mine = block_sum(mine);
    if (threadIdx.x == 0) *sum += mine;
}

// Each block's share of the sum of squares.
KERNEL(sum_squares, (const float *x, u64 n, double *partial)) {
    double mine = 0.0;
    for (u64 i = (u64)blockIdx.x * THREADS + threadIdx.x; i < n; i += (u64)gridDim.x * THREADS)
        mine += (double)x[i] * (double)x[i];
    mine = block_sum(mine);
    if (threadIdx.x == 0) partial[blockIdx.x] = mine;
}

// One block: the sum of n partial sums.
KERNEL(sum_partials, (const double *partial, u32 n, double *sum)) {
    double mine = 0.0;
    for (u32 i = threadIdx.x; i < n; i += THREADS) mine += partial[i];
    mine = block_sum(mine);
    if (threadIdx.x == 0) *sum = mine;
}

// AdamW (Loshchilov & Hutter 2019, algorithm 2), with the clipping of torch's clip_grad_norm_.
KERNEL(adamw, (float beta1, float beta2, float eps, float keep, float rate, float root, float clip, const double *norm2,
        const double *loss, float *p, const float *g, float *m, float *v, bf16 *working, u64 n, u32 wide)) {
    double squares = *norm2, total = *loss;
    if (!(squares - squares == 0.0 && total - total == 0.0)) return; // infinite or NaN
    u64 at = ((u64)blockIdx.x * THREADS + threadIdx.x) * 4;
    if (at >= n) return;
    wide = wide && at + 4 <= n;
    double least = clip > 0.0f ? (double)clip / (sqrt(squares) + 1e-6) : 1.0;
    float scale = (float)(least < 1.0 ? least : 1.0);
    float number[4], gradient[4], first[4], second[4];
    load(p, at, n, wide, number);
    load(g, at, n, wide, gradient);
    load(m, at, n, wide, first);
    load(v, at, n, wide, second);
    for (int c = 0; c < 4; c++) {
        float x = gradient[c] * scale;
        first[c] += (x - first[c]) * (1.0f - beta1);
        second[c] = second[c] * beta2 + x * x * (1.0f - beta2);
        number[c] = number[c] * keep - rate * first[c] / (sqrtf(second[c]) * root + eps);
    }
    store(number, p, at, n, wide);
    store(first, m, at, n, wide);
    store(second, v, at, n, wide);
    if (working) store(number, working, at, n, wide);
}
