// What all kernels stand on: numbers, loads of four, sums over a warp and a block.
//
// Everything is compiled as one text, by NVRTC for a GPU and by a C++ compiler for tests; there are no includes. Every
// kernel runs in blocks of THREADS threads. Sums are taken in an order that depends on shapes alone. Rows times columns
// may pass 2^32: places are of 64 bits.

// KERNEL(name, (parameters)) begins a kernel, SHARED(type, name, count) declares shared memory; tests have their own.
#ifndef KERNEL
#define KERNEL(name, parameters) extern "C" __global__ void __launch_bounds__(THREADS) name parameters
#define SHARED(type, name, count) __shared__ __align__(16) type name[count]
#endif

typedef unsigned int u32;
typedef unsigned long long u64;

#define THREADS 256
#define WARP 32
#define WARPS (THREADS / WARP)
#define ALL_LANES 0xffffffffu

// bfloat16: the upper half of a float.
struct bf16 {
    unsigned short bits;
};

__device__ __forceinline__ float widen(bf16 x) { return __uint_as_float((u32)x.bits << 16); }
__device__ __forceinline__ float widen(float x) { return x; }

// The nearest bf16, ties to even; NaN stays NaN.
__device__ __forceinline__ void narrow(float x, bf16 *y) {
    u32 bits = __float_as_uint(x);
    u32 rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    y->bits = (unsigned short)((bits & 0x7fffffffu) > 0x7f800000u ? (bits >> 16) | 0x40u : rounded);
}
__device__ __forceinline__ void narrow(float x, float *y) { *y = x; }

__device__ __forceinline__ float not_a_number() { return __uint_as_float(0x7fc00000u); }

struct __align__(16) four_floats {
    float x, y, z, w;
};
struct __align__(8) four_halves {
    unsigned short x, y, z, w;
};

__device__ __forceinline__ void load_wide(const float *p, float v[4]) {
    four_floats f = *(const four_floats *)p;
    v[0] = f.x, v[1] = f.y, v[2] = f.z, v[3] = f.w;
}
__device__ __forceinline__ void load_wide(const bf16 *p, float v[4]) {
    four_halves h = *(const four_halves *)p;
    v[0] = __uint_as_float((u32)h.x << 16), v[1] = __uint_as_float((u32)h.y << 16);
    v[2] = __uint_as_float((u32)h.z << 16), v[3] = __uint_as_float((u32)h.w << 16);
}
__device__ __forceinline__ void store_wide(const float v[4], float *p) {
    four_floats f = {v[0], v[1], v[2], v[3]};
    *(four_floats *)p = f;
}
__device__ __forceinline__ void store_wide(const float v[4], bf16 *p) {
    bf16 b[4];
    narrow(v[0], &b[0]), narrow(v[1], &b[1]), narrow(v[2], &b[2]), narrow(v[3], &b[3]);
    four_halves h = {b[0].bits, b[1].bits, b[2].bits, b[3].bits};
    *(four_halves *)p = h;
}

// Numbers i..i+4 of the n at p as floats, 0 beyond; `wide` where n and i are multiples of four and p is aligned to
// match.
template <typename N> __device__ __forceinline__ void load(const N *p, u64 i, u64 n, u32 wide, float v[4]) {
    if (wide) {
        load_wide(p + i, v);
    } else {
        for (int c = 0; c < 4; c++) v[c] = i + c < n ? widen(p[i + c]) : 0.0f;
    }
}
template <typename N> __device__ __forceinline__ void store(const float v[4], N *p, u64 i, u64 n, u32 wide) {
    if (wide) {
        store_wide(v, p + i);
    } else {
        for (int c = 0; c < 4; c++)
            if (i + c < n) narrow(v[c], p + i + c);
    }
}

// The sum over a warp's lanes, in every lane. All lanes must be there.
__device__ __forceinline__ float warp_sum(float x) {
    for (int step = WARP / 2; step > 0; step /= 2) x += __shfl_xor_sync(ALL_LANES, x, step);
    return x;
}

// The sum over a block's threads, in every thread. All threads must be there.
__device__ __forceinline__ double block_sum(double x) {
    SHARED(double, sums, THREADS);
    __syncthreads(); // whoever still reads the last sum
    sums[threadIdx.x] = x;
    for (u32 step = THREADS / 2; step > 0; step /= 2) {
        __syncthreads();
        if (threadIdx.x < step) sums[threadIdx.x] += sums[threadIdx.x + step];
    }
    __syncthreads();
    return sums[0];
}
