"""Weights that need no file: every number follows from the tensor's name and its flat index.

`tests/common/seeded.rs` computes the same numbers, bit for bit. A number is splitmix64(fnv1a64(name) + index), its
upper 24 bits taken as a fraction, spread over [-1, 1) and multiplied by the tensor's scale, all exact or rounded once
in f32.
"""
import numpy as np

U64 = np.uint64


def fnv1a64(text):
    state = 0xCBF29CE484222325
    for byte in text.encode():
        state = ((state ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return state


def bits(name, count):
    with np.errstate(over="ignore"):
        z = U64(fnv1a64(name)) + np.arange(count, dtype=U64)
        z += U64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> U64(30))) * U64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> U64(27))) * U64(0x94D049BB133111EB)
        return z ^ (z >> U64(31))


def uniform(name, count):
    """f32 numbers in [-1, 1)."""
    return (bits(name, count) >> U64(40)).astype(np.float32) * np.float32(2.0**-23) - np.float32(1)


def is_norm(name):
    return "norm" in name and name.endswith(".weight")


def scale(name):
    if is_norm(name):
        return 0.25
    if name.endswith(".bias"):
        return 0.125
    if name.startswith("lora_A."):
        return 0.25
    if name.startswith("lora_B."):
        return 0.125
    if any(part in name for part in ("embed_tokens", "embed_in", "embed_out", "lm_head")):
        return 0.25
    if any(part in name for part in ("o_proj", "down_proj", "attention.dense", "dense_4h_to_h")):
        return 0.5
    if any(part in name for part in ("q_proj", "k_proj", "query_key_value")):
        return 0.375
    return 0.25


def values(name, shape, added_one=False):
    """The tensor `name`; norm weights lie around 1, or around 0 where the model itself adds the 1 (Gemma)."""
    out = uniform(name, int(np.prod(shape))) * np.float32(scale(name))
    if is_norm(name) and not added_one:
        out = np.float32(1) + out
    return out.reshape(shape)


def tokens(name, count, vocab):
    """`count` token ids from 3 up, so that none is a special one."""
    return (3 + bits(name, count) % U64(vocab - 3)).astype(np.int64).tolist()
