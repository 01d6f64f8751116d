// Cross-entropy: a block has a row of logits.

// Takes x into a running maximum and the sum of exponentials below it.
__device__ __forceinline__ void take(float x, float *top, float *sum) {
    if (x > *top) {
        *sum = *sum * expf(*top - x) + 1.0f;
        *top = x;
    } else {
        *sum += expf(x - *top);
    }
}

// Losses in nats, and where `gradient` is not null weight * (softmax - onehot), maybe in the logits' own place.
KERNEL(cross_entropy, (const float *logits, u32 vocab, const u32 *targets, const float *weights, float *losses,
        T *gradient, u32 wide)) {
    SHARED(float, tops, THREADS);
    SHARED(float, sums, THREADS);
    u64 row = blockIdx.x;
    u32 me = threadIdx.x, target = targets[row];
    logits += row * vocab;
    float wanted = target < vocab ? logits[target] : not_a_number();
    float top = -3.4028235e38f, sum = 0.0f, v[4];
    for (u32 i = me * 4; i < vocab; i += THREADS * 4) {
        load(logits, i, vocab, wide, v);
        for (int c = 0; c < 4; c++)
            if (i + c < vocab) take(v[c], &top, &sum);
    }
    tops[me] = top, sums[me] = sum;
    for (u32 step = THREADS / 2; step > 0; step /= 2) {
        __syncthreads();
        if (me < step) {
            float other = tops[me + step], both = fmaxf(tops[me], other);
            sums[me] = sums[me] * expf(tops[me] - both) + sums[me + step] * expf(other - both);
            tops[me] = both;
        }
    }
    __syncthreads();
    top = tops[0], sum = sums[0];
    if (me == 0) losses[row] = top + logf(sum) - wanted;
    if (!gradient) return;
    gradient += row * vocab;
    float weight = weights[row], factor = weight / sum;
    for (u32 i = me * 4; i < vocab; i += THREADS * 4) {
        load(logits, i, vocab, wide, v);
        for (int c = 0; c < 4; c++) v[c] = expf(v[c] - top) * factor - (i + c == target ? weight : 0.0f);
        store(v, gradient, i, vocab, wide);
    }
}
