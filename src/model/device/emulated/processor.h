// CUDA's words for a C++ compiler, so that the kernels' very text runs on the processor in tests.
//
// The threads of a block are fibers on one thread of the system: each runs until it waits at a barrier or a shuffle.
// What a GPU leaves undefined is a fault here: a barrier that some threads have left or passed elsewhere, a shuffle
// that not all lanes of a warp reach, more shared memory than every GPU has, numbers written beyond its arrays. Shared
// memory begins as NaN.

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <utility>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace processor {

struct Dim {
    unsigned int x, y, z;
};
enum State { READY, SHUFFLE, BARRIER, DONE };

const unsigned MOST_THREADS = 1024, LANES = 32, STACK = 64 * 1024, SHARED_BYTES = 48 * 1024, GUARD = 64,
        MOST_ARRAYS = 16;

#if defined(__x86_64__)
typedef void *Context;
extern "C" void togi_switch(void **save, void *to) __attribute__((visibility("hidden")));
// Keeps the registers that a function must keep, changes stacks, and takes back those of the other side.
asm(".text\n"
    ".hidden togi_switch\n"
    ".globl togi_switch\n"
    ".type togi_switch,@function\n"
    "togi_switch:\n"
    "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
    "  movq %rsp, (%rdi)\n"
    "  movq %rsi, %rsp\n"
    "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n"
    "  ret\n"
    ".size togi_switch,.-togi_switch\n");
inline void change(Context *from, Context *to) { togi_switch(from, *to); }
inline void prepare(Context *context, char *stack, void (*entry)()) {
    // When `entry` begins, the stack pointer is 8 off a multiple of 16, as after a call.
    void **top = (void **)(stack + STACK) - 1;
    *--top = (void *)entry;
    for (int i = 0; i < 6; i++) *--top = nullptr;
    *context = top;
}
#else
typedef ucontext_t Context;
inline void change(Context *from, Context *to) { swapcontext(from, to); }
inline void prepare(Context *context, char *stack, void (*entry)()) {
    getcontext(context);
    context->uc_stack.ss_sp = stack;
    context->uc_stack.ss_size = STACK;
    context->uc_link = nullptr;
    makecontext(context, entry, 0);
}
#endif

struct Fiber {
    Context context;
    Dim thread;
    State state;
    int line;
};

struct Array {
    int id;
    size_t at, bytes;
};

// The block under way on this thread of the system.
struct Block {
    Fiber fibers[MOST_THREADS];
    Fiber *now;
    Context scheduler;
    Dim at, grid, threads;
    uint64_t slots[MOST_THREADS / LANES][2][LANES];
    uint32_t factors[MOST_THREADS / LANES][2][LANES][6];
    unsigned turn[MOST_THREADS / LANES];
    void (*body)(void **);
    void **arguments;
    char *stacks;
    Array arrays[MOST_ARRAYS];
    unsigned array_count;
    size_t used;
    alignas(64) unsigned char shared[SHARED_BYTES + MOST_ARRAYS * (GUARD + 64)];
    char fault[200];
};

struct Holder {
    Block *block = nullptr;
    ~Holder() {
        if (block) munmap(block->stacks, (size_t)MOST_THREADS * STACK);
        delete block;
    }
};
inline Block *&self() {
    static thread_local Holder holder;
    if (!holder.block) {
        holder.block = new Block();
        holder.block->stacks = (char *)mmap(nullptr, (size_t)MOST_THREADS * STACK, PROT_READ | PROT_WRITE,
                                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (holder.block->stacks == (char *)MAP_FAILED) abort();
    }
    return holder.block;
}
static thread_local Block *block = nullptr;

inline void wait(State state, int line) {
    Fiber *fiber = block->now;
    fiber->state = state;
    fiber->line = line;
    change(&fiber->context, &block->scheduler);
}

inline void enter() {
    for (;;) {
        block->body(block->arguments);
        wait(DONE, 0);
    }
}

template <typename... Words> void fault(const char *format, Words... words) {
    if (!block->fault[0]) snprintf(block->fault, sizeof block->fault, format, words...);
}

inline void barrier(int line) { wait(BARRIER, line); }

template <typename N> N shuffle(unsigned mask, N value, unsigned lane_xor, int line) {
    unsigned thread = block->now->thread.x, warp = thread / LANES, lane = thread % LANES, turn = block->turn[warp];
    if (mask != 0xffffffffu) fault("line %d: a shuffle of a part of a warp", line);
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    block->slots[warp][turn][lane] = bits;
    wait(SHUFFLE, line);
    bits = block->slots[warp][turn][(lane ^ lane_xor) % LANES];
    memcpy(&value, &bits, sizeof value);
    return value;
}

// What mma.m16n8k16 does with bf16 factors: a warp's lanes lay their words out for one another.
inline void multiply_add(float c[4], const unsigned a[4], unsigned b0, unsigned b1) {
    unsigned thread = block->now->thread.x, warp = thread / LANES, lane = thread % LANES, turn = block->turn[warp];
    const unsigned words[6] = {a[0], a[1], a[2], a[3], b0, b1};
    memcpy(block->factors[warp][turn][lane], words, sizeof words);
    wait(SHUFFLE, -1);
    auto number = [](unsigned word, unsigned part) {
        unsigned bits = part ? word & 0xffff0000u : word << 16;
        float x;
        memcpy(&x, &bits, sizeof x);
        return x;
    };
    const uint32_t(*of)[6] = block->factors[warp][turn];
    for (unsigned i = 0; i < 4; i++) {
        unsigned row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
        for (unsigned k = 0; k < 16; k++) {
            // Rows 0 to 7 are words 0 and 2, rows 8 to 15 words 1 and 3; columns 8 and on the later of the two.
            unsigned left = of[row % 8 * 4 + k % 8 / 2][row / 8 + k / 8 * 2];
            unsigned right = of[column * 4 + k % 8 / 2][4 + k / 8];
            c[i] += number(left, k % 2) * number(right, k % 2);
        }
    }
}

// An array of a block's shared memory: the same for all its threads.
inline void *shared(int id, size_t bytes) {
    for (unsigned i = 0; i < block->array_count; i++)
        if (block->arrays[i].id == id) return block->shared + block->arrays[i].at;
    size_t rounded = (bytes + 63) / 64 * 64;
    if (block->array_count == MOST_ARRAYS || block->used + rounded > SHARED_BYTES) {
        fprintf(stderr, "a kernel declares more shared memory than every GPU has\n");
        abort();
    }
    Array *array = &block->arrays[block->array_count];
    *array = {id, block->used + block->array_count * GUARD, bytes};
    block->array_count++;
    block->used += rounded;
    memset(block->shared + array->at, 0xff, rounded + GUARD);
    return block->shared + array->at;
}

inline void check_shared() {
    for (unsigned i = 0; i < block->array_count; i++) {
        const Array &array = block->arrays[i];
        size_t end = array.at + (array.bytes + 63) / 64 * 64 + GUARD;
        for (size_t at = array.at + array.bytes; at < end; at++)
            if (block->shared[at] != 0xff) fault("a kernel wrote beyond shared memory of %zu bytes", array.bytes);
    }
}

// Whether all of `count` fibers wait in `state`, at one line.
inline bool all(const Fiber *fibers, unsigned count, State state) {
    for (unsigned i = 0; i < count; i++)
        if (fibers[i].state != state || fibers[i].line != fibers[0].line) return false;
    return true;
}

inline void run_block() {
    unsigned count = block->threads.x;
    block->array_count = 0;
    block->used = 0;
    for (unsigned i = 0; i < count; i++) {
        Fiber &fiber = block->fibers[i];
        prepare(&fiber.context, block->stacks + (size_t)i * STACK, enter);
        fiber.thread = {i, 0, 0};
        fiber.state = READY;
    }
    while (!block->fault[0]) {
        for (unsigned first = 0; first < count; first += LANES) {
            Fiber *warp = block->fibers + first;
            for (;;) {
                for (unsigned i = 0; i < LANES; i++) {
                    if (warp[i].state != READY) continue;
                    block->now = &warp[i];
                    change(&block->scheduler, &warp[i].context);
                }
                if (!all(warp, LANES, SHUFFLE)) break;
                block->turn[first / LANES] ^= 1;
                for (unsigned i = 0; i < LANES; i++) warp[i].state = READY;
            }
        }
        if (all(block->fibers, count, DONE)) break;
        if (!all(block->fibers, count, BARRIER)) {
            for (unsigned i = 0; i < count; i++) {
                const Fiber &fiber = block->fibers[i];
                if (fiber.state == SHUFFLE)
                    fault("line %d: thread %u waits at a shuffle that its whole warp does not reach", fiber.line, i);
                if (fiber.state == BARRIER)
                    fault("line %d: thread %u waits at a barrier that not all threads reach", fiber.line, i);
            }
        }
        for (unsigned i = 0; i < count; i++) block->fibers[i].state = READY;
    }
    check_shared();
}

// Runs blocks of a grid one after the other; what is wrong, or null.
inline const char *run(void (*body)(void **), void **arguments, const unsigned *grid, unsigned threads) {
    block = self();
    block->body = body;
    block->arguments = arguments;
    block->grid = {grid[0], grid[1], grid[2]};
    block->threads = {threads, 1, 1};
    block->fault[0] = 0;
    if (threads == 0 || threads > MOST_THREADS || threads % LANES != 0) fault("%u threads in a block", threads);
    for (unsigned z = 0; z < grid[2]; z++)
        for (unsigned y = 0; y < grid[1]; y++)
            for (unsigned x = 0; x < grid[0]; x++) {
                if (block->fault[0]) return block->fault;
                block->at = {x, y, z};
                run_block();
            }
    return block->fault[0] ? block->fault : nullptr;
}

template <typename... P, size_t... I> void spread(void (*kernel)(P...), void **a, std::index_sequence<I...>) {
    kernel(*(P *)a[I]...);
}
template <typename... P> void call(void (*kernel)(P...), void **a) { spread(kernel, a,
        std::index_sequence_for<P...>()); }

// A letter for each parameter's type.
template <typename P> struct Letter;
template <typename P> struct Letter<P *> { static const char value = 'p'; };
template <> struct Letter<unsigned int> { static const char value = 'u'; };
template <> struct Letter<unsigned long long> { static const char value = 'l'; };
template <> struct Letter<float> { static const char value = 'f'; };
template <> struct Letter<double> { static const char value = 'd'; };
template <typename... P> const char *letters(void (*)(P...)) {
    static const char text[] = {Letter<P>::value..., 0};
    return text;
}

} // namespace processor

// A kernel, and what the test machine looks up for it.
#define KERNEL(name, parameters)                                                                                      \
    extern "C" void name parameters;                                                                                  \
    static void body_##name(void **a) { processor::call(&name, a); }                                                  \
    extern "C" const char *run_##name(void **a, const unsigned *grid, unsigned threads) {                             \
        return processor::run(body_##name, a, grid, threads);                                                         \
    }                                                                                                                 \
    extern "C" const char *letters_##name() { return processor::letters(&name); }                                     \
    extern "C" void name parameters

#define KERNEL_ON_PROCESSOR
#define __device__
#define __forceinline__ inline
#define __align__(bytes) alignas(bytes)
#define SHARED(type, name, count) type *name = (type *)processor::shared(__COUNTER__, sizeof(type) * (count))
#define threadIdx (processor::block->now->thread)
#define blockIdx (processor::block->at)
#define blockDim (processor::block->threads)
#define gridDim (processor::block->grid)
#define __syncthreads() processor::barrier(__LINE__)
#define __shfl_xor_sync(mask, value, lanes) processor::shuffle(mask, value, lanes, __LINE__)

static inline float __uint_as_float(unsigned int bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}
static inline unsigned int __float_as_uint(float x) {
    unsigned int bits;
    memcpy(&bits, &x, 4);
    return bits;
}
// The compiler is told to fuse nothing.
static inline float __fadd_rn(float x, float y) { return x + y; }
static inline float __fmul_rn(float x, float y) { return x * y; }
