"""The peer of `togi bench --gpu`: LoRA with transformers and PEFT on a model of random weights, bf16, SDPA, on the GPU.

The rows are those of togi's bench: lengths spread over a range, the first half of each masked. They are padded to the longest of a
micro-batch, as a trainer pads them; the adapter is f32 under autocast, AdamW is torch's fused one.
"""

import argparse
import json
import statistics
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config

parser = argparse.ArgumentParser()
parser.add_argument("--shape", required=True)
parser.add_argument("--batch", type=int, default=64)
parser.add_argument("--shortest", type=int, default=128)
parser.add_argument("--length", type=int, default=512)
parser.add_argument("--micro", type=int, default=0, help="rows of a micro-batch; 0 tries 32 and halves until it fits")
parser.add_argument("--runs", type=int, default=8)
asked = parser.parse_args()


def qwen(hidden, intermediate, layers, heads, kv, vocab, tied):
    return Qwen2Config(
        hidden_size=hidden, intermediate_size=intermediate, num_hidden_layers=layers, num_attention_heads=heads,
        num_key_value_heads=kv, vocab_size=vocab, tie_word_embeddings=tied, rope_theta=1e6,
    )


shapes = {
    "smollm2-135m": lambda: LlamaConfig(
        hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3,
        vocab_size=49152, tie_word_embeddings=True, rope_theta=1e5,
    ),
    "llama-3.2-1b": lambda: LlamaConfig(
        hidden_size=2048, intermediate_size=8192, num_hidden_layers=16, num_attention_heads=32, num_key_value_heads=8,
        vocab_size=128256, tie_word_embeddings=True, rope_theta=5e5, head_dim=64,
    ),
    "qwen2.5-1.5b": lambda: qwen(1536, 8960, 28, 12, 2, 151936, True),
    "qwen2.5-7b": lambda: qwen(3584, 18944, 28, 28, 4, 152064, False),
}
config = shapes[asked.shape]()
torch.manual_seed(0)
with torch.device("cuda"):
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16, attn_implementation="sdpa")
model.config.use_cache = False
targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
lora = LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules=targets, task_type="CAUSAL_LM")
model = get_peft_model(model, lora)
model.train()
trained = [p for p in model.parameters() if p.requires_grad]
optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=True)

rows = []
for r in range(asked.batch):
    n = asked.shortest + r * 7919 % (asked.length - asked.shortest + 1)
    tokens = [((r * 4099 + i) * 7919 + 13) % config.vocab_size for i in range(n)]
    rows.append((tokens, [-100] * (n // 2) + tokens[n // 2 :]))
tokens = sum(len(row) for row, _ in rows)
supervised = sum(sum(label >= 0 for label in labels) for _, labels in rows)


def step(micro):
    for first in range(0, len(rows), micro):
        part = rows[first : first + micro]
        longest = max(len(row) for row, _ in part)
        pad = lambda values, filler: values + [filler] * (longest - len(values))
        ids = torch.tensor([pad(row, 0) for row, _ in part], device="cuda")
        labels = torch.tensor([pad(label, -100) for _, label in part], device="cuda")
        mask = torch.tensor([pad([1] * len(row), 0) for row, _ in part], device="cuda")
        with torch.autocast("cuda", dtype=torch.bfloat16):
            loss = model(input_ids=ids, labels=labels, attention_mask=mask).loss
        (loss * len(part) / len(rows)).backward()
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    torch.cuda.synchronize()


micro = asked.micro or 32
while True:
    try:
        step(micro)
        break
    except torch.cuda.OutOfMemoryError:
        optimizer.zero_grad(set_to_none=True)
        torch.cuda.empty_cache()
        if micro == 1:
            raise
        micro //= 2
step(micro)
seconds = []
for _ in range(asked.runs):
    started = time.perf_counter()
    step(micro)
    seconds.append(time.perf_counter() - started)
print(json.dumps({
    "peer": "PEFT", "shape": asked.shape, "rows": asked.batch, "micro": micro,
    "tokens_per_s": tokens / min(seconds), "median_tokens_per_s": tokens / statistics.median(seconds),
    "supervised_per_s": supervised / min(seconds), "step_s": statistics.median(seconds),
    "used_mib": torch.cuda.max_memory_reserved() >> 20,
}))
