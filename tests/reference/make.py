"""Makes the numbers that `tests/families.rs` compares togi with: tiny random checkpoints of each family, run by
transformers, PEFT and torch on the CPU in f32.

    python tests/reference/make.py [CASE …]

Nothing but our own results is stored: weights follow from `seeded.py`. Needs torch, transformers, peft, safetensors.
Per case: NAME.json (ids, loss, checksums, greedy tokens), NAME.safetensors (last logits, gradients), configs/NAME.json
(the configuration as transformers writes it today) and configs/NAME.hub.json (the same in the form that checkpoints of
before version 5 carry).
"""
import copy
import json
import math
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

import seeded

HERE = Path(__file__).resolve().parent
VOCAB = 101
RANK, ALPHA = 4, 8
GENERATED = 24
SPLIT = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
FUSED = ["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"]

BASE = dict(vocab_size=VOCAB, hidden_size=32, intermediate_size=56, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=128, bos_token_id=1, eos_token_id=2, rms_norm_eps=1e-5)
NEOX = dict(vocab_size=VOCAB, hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=3,
            max_position_embeddings=128, bos_token_id=1, eos_token_id=2, layer_norm_eps=1e-5, tie_word_embeddings=False)


def plain(theta):
    return dict(rope_type="default", rope_theta=theta)


CASES = {
    "llama": ("llama", dict(BASE, tie_word_embeddings=True, rope_parameters=plain(1e4))),
    "llama3": ("llama", dict(BASE, tie_word_embeddings=False, rope_parameters=dict(
        rope_type="llama3", rope_theta=100.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
        original_max_position_embeddings=32))),
    "llama_linear": ("llama", dict(BASE, tie_word_embeddings=True, attention_bias=True, mlp_bias=True,
                                   rope_parameters=dict(rope_type="linear", rope_theta=1e4, factor=4.0))),
    "mistral": ("mistral", dict(BASE, hidden_size=48, head_dim=12, sliding_window=None, tie_word_embeddings=False,
                                rope_parameters=plain(1e6))),
    "mistral_window": ("mistral", dict(BASE, hidden_size=48, head_dim=12, sliding_window=6, tie_word_embeddings=False,
                                       rope_parameters=plain(1e4))),
    "qwen2": ("qwen2", dict(BASE, tie_word_embeddings=True, use_sliding_window=False, sliding_window=None,
                            rope_parameters=plain(1e6))),
    "qwen3": ("qwen3", dict(BASE, head_dim=16, tie_word_embeddings=True, use_sliding_window=False, sliding_window=None,
                            rope_parameters=plain(1e6))),
    "gemma3": ("gemma3_text", dict(
        BASE, num_hidden_layers=3, num_key_value_heads=1, head_dim=16, tie_word_embeddings=True, query_pre_attn_scalar=24,
        sliding_window=6, layer_types=["sliding_attention", "full_attention", "sliding_attention"], pad_token_id=0,
        rope_parameters=dict(sliding_attention=plain(1e2), full_attention=plain(1e4)))),
    "neox_parallel": ("gpt_neox", dict(NEOX, use_parallel_residual=True, hidden_act="gelu",
                                       rope_parameters=dict(plain(1e4), partial_rotary_factor=0.25))),
    "neox_sequential": ("gpt_neox", dict(NEOX, use_parallel_residual=False, hidden_act="gelu_fast",
                                         rope_parameters=dict(plain(1e4), partial_rotary_factor=1.0))),
}
LENGTHS = {"llama3": (40, 17)}
MASKED = (9, 7)  # leading labels without loss


def hub_form(kind, config):
    """The configuration as checkpoints made before transformers 5 carry it."""
    old = copy.deepcopy(config)
    for key in ("dtype", "transformers_version", "_sliding_window_pattern", "pretraining_tp"):
        old.pop(key, None)
    rope = old.pop("rope_parameters")
    if kind == "gemma3_text":
        old["rope_theta"] = rope["full_attention"]["rope_theta"]
        old["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        old["rope_scaling"] = None
    elif kind == "gpt_neox":
        old["rotary_emb_base"] = rope["rope_theta"]
        old["rotary_pct"] = rope["partial_rotary_factor"]
    else:
        old["rope_theta"] = rope.pop("rope_theta")
        old["rope_scaling"] = None if rope["rope_type"] == "default" else rope
        if kind in ("qwen2", "qwen3"):
            old.pop("layer_types")
    old.update(torch_dtype="float32", transformers_version="4.44.0")
    return old


def build(kind, name):
    config = AutoConfig.for_model(kind, **CASES[name][1])
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=torch.float32)
    model.eval()
    tied = config.tie_word_embeddings
    with torch.no_grad():
        for key, p in model.named_parameters():
            assert not (tied and key == "lm_head.weight")
            if kind == "gpt_neox" and key == "lm_head.weight":
                key = "embed_out.weight"  # its name in files
            p.copy_(torch.from_numpy(seeded.values(key, tuple(p.shape), added_one=kind == "gemma3_text")))
    return config, model


def adapt(model, kind, rslora=False):
    model = get_peft_model(model, LoraConfig(
        r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, use_rslora=rslora, task_type="CAUSAL_LM",
        target_modules=FUSED if kind == "gpt_neox" else SPLIT))
    with torch.no_grad():
        for key, p in lora_parameters(model):
            p.copy_(torch.from_numpy(seeded.values(key, tuple(p.shape))))
    model.eval()
    return model


def lora_parameters(model):
    """LoRA parameters as ("lora_A.model.layers.0.self_attn.q_proj", parameter)."""
    for key, p in model.named_parameters():
        if "lora_" in key:
            path, which = key.removeprefix("base_model.model.").removesuffix(".default.weight").rsplit(".", 1)
            yield f"{which}.{path}", p


def rows_of(name, lengths):
    ids = [seeded.tokens(f"{name}.row{i}", n, VOCAB) for i, n in enumerate(lengths)]
    return [dict(ids=row, labels=[-100] * m + row[m:]) for row, m in zip(ids, MASKED)]


def logits_of(model, ids):
    return model(input_ids=torch.tensor([ids])).logits[0].float()


def loss_of(model, rows):
    """Mean cross entropy over the supervised tokens of all rows, each row by itself."""
    count = sum(sum(y != -100 for y in row["labels"][1:]) for row in rows)
    total = 0.0
    for row in rows:
        logits = logits_of(model, row["ids"])
        total = total + torch.nn.functional.cross_entropy(
            logits[:-1], torch.tensor(row["labels"][1:]), ignore_index=-100, reduction="sum")
    return total / count


def digits(x):
    return float(f"{float(x):.9g}")


@torch.no_grad()
def greedy(model, name):
    """The first prompt on which no greedy choice is a close one: its tokens, and those that argmax adds to it."""
    for attempt in range(20):
        prompt = seeded.tokens(f"{name}.prompt{attempt}", 11, VOCAB)
        ids, gap = list(prompt), math.inf
        for _ in range(GENERATED):
            top = logits_of(model, ids)[-1].topk(2)
            gap = min(gap, float(top.values[0] - top.values[1]))
            ids.append(int(top.indices[0]))
        if gap > 4e-3:
            return dict(prompt=prompt, tokens=ids[len(prompt):], gap=digits(gap))
    raise SystemExit(f"{name}: every prompt has a close choice")


@torch.no_grad()
def outputs(model, name, rows, tensors, prefix):
    """What a forward gives: the loss, a weighted sum of the logits at every position, all logits of the last two."""
    weight = torch.from_numpy(seeded.uniform("checksum", VOCAB)).double()
    checks = []
    for i, row in enumerate(rows):
        logits = logits_of(model, row["ids"])
        tensors[f"{prefix}.logits.{i}"] = logits[-2:].contiguous()
        checks.append([digits(x) for x in logits.double() @ weight])
    return dict(loss=digits(loss_of(model, rows)), checksums=checks, greedy=greedy(model, name))


def backward(model, rows):
    model.zero_grad()
    loss_of(model, rows).backward()


def case(name):
    kind = CASES[name][0]
    rows = rows_of(name, LENGTHS.get(name, (24, 17)))
    tensors = {}
    config, model = build(kind, name)
    write_config(kind, name, config, model)
    result = dict(family=kind, rows=rows, rank=RANK, alpha=ALPHA, base=outputs(model, name, rows, tensors, "base"))
    if name == "llama":
        backward(model, rows)
        for key, p in model.named_parameters():
            tensors[f"full.{key}"] = p.grad.contiguous()
    model = adapt(model, kind)
    result["adapter"] = outputs(model, name, rows, tensors, "adapter")
    backward(model, rows)
    for key, p in lora_parameters(model):
        tensors[f"grad.{key}"] = p.grad.contiguous()
    if name in ("llama", "neox_parallel"):
        result["peft"] = peft_folder(name, kind, model, rows)
    if name == "llama":
        result["rslora"] = rslora(kind, name, rows, tensors)
        result["adamw"] = [adamw(kind, name, decay, tensors) for decay in (0.0, 0.1)]
    save_file(tensors, HERE / f"{name}.safetensors")
    write(HERE / f"{name}.json", result)
    sizes = [(HERE / f"{name}.{end}").stat().st_size for end in ("json", "safetensors")]
    grads = torch.cat([p.grad.flatten() for _, p in lora_parameters(model)])
    print(name, "loss", result["base"]["loss"], result["adapter"]["loss"], 
          *[(result[k]["greedy"]["gap"], len(set(result[k]["greedy"]["tokens"]))) for k in ("base", "adapter")],
          "gradient", float(grads.norm()), "bytes", sizes)


def rslora(kind, name, rows, tensors):
    model = adapt(build(kind, name)[1], kind, rslora=True)
    result = outputs(model, name, rows, tensors, "rslora")
    backward(model, rows)
    for key, p in lora_parameters(model):
        tensors[f"rslora.grad.{key}"] = p.grad.contiguous()
    return result


def adamw(kind, name, decay, tensors, total=8, warm=3, rate=2e-2, clip=1.0):
    """`total` optimizer steps of two micro-batches each, averaged over supervised tokens, clipped, rate by cosine."""
    model = adapt(build(kind, name)[1], kind)
    parameters = [p for _, p in lora_parameters(model)]
    optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=decay, betas=(0.9, 0.999), eps=1e-8)
    shape = lambda s: s / warm if s < warm else 0.1 + 0.45 * (1 + math.cos(math.pi * (s - warm) / max(1, total - warm)))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: shape(s + 1))
    steps = []
    for step in range(total):
        rows = rows_of(f"adamw{step}", (24, 17)) if step % 2 == 0 else rows_of(f"adamw{step}", (13, 21))
        count = sum(sum(y != -100 for y in row["labels"][1:]) for row in rows)
        total_loss = 0.0
        for row in rows:  # a micro-batch each
            mine = sum(y != -100 for y in row["labels"][1:])
            loss = loss_of(model, [row]) * mine / count
            loss.backward()
            total_loss += loss.item()
        norm = torch.nn.utils.clip_grad_norm_(parameters, clip)
        used = optimizer.param_groups[0]["lr"]
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        steps.append(dict(rows=rows, loss=digits(total_loss), rate=used, norm=digits(norm)))
    for key, p in lora_parameters(model):
        tensors[f"adamw.{decay}.{key}"] = p.detach().clone().contiguous()
    return dict(weight_decay=decay, rate=rate, warm=warm, total=total, clip=clip, steps=steps)


def peft_folder(name, kind, model, rows):
    """An adapter as PEFT saves it, and the logits that PEFT gives after reading it again."""
    folder = HERE / f"peft_{name}"
    shutil.rmtree(folder, ignore_errors=True)
    model.peft_config["default"].base_model_name_or_path = f"tiny-{name}"
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    again = PeftModel.from_pretrained(build(kind, name)[1], folder).eval()
    with torch.no_grad():
        logits = [logits_of(again, row["ids"])[-1] for row in rows]
        assert all(torch.equal(a, logits_of(model, row["ids"])[-1]) for a, row in zip(logits, rows))
    return f"peft_{name}"


def write_config(kind, name, config, model):
    text = json.loads(config.to_json_string(use_diff=False))
    keep = json.loads(config.to_json_string())
    keep = {k: text[k] for k in text if k in keep or k in CASES[name][1] or k in ("hidden_act", "hidden_activation", "tie_word_embeddings", "layer_types")}
    keep.update(architectures=[type(model).__name__], model_type=kind)
    old = hub_form(kind, keep)
    for form in (keep, old):  # both read by transformers as the configuration that was run
        again = AutoConfig.for_model(kind, **{k: v for k, v in copy.deepcopy(form).items() if k != "model_type"})
        same = lambda c: {k: v for k, v in c.to_dict().items()
                          if k not in ("architectures", "dtype", "transformers_version", "torch_dtype", "_attn_implementation_autoset")}
        assert same(again) == same(config), {k: (v, same(again).get(k)) for k, v in same(config).items() if same(again).get(k) != v}
    (HERE / "configs").mkdir(exist_ok=True)
    write(HERE / "configs" / f"{name}.json", keep)
    write(HERE / "configs" / f"{name}.hub.json", old)


def write(path, value):
    text = json.dumps(value, indent=1, ensure_ascii=False)
    lines, depth = [], 0
    for line in text.splitlines():  # lists of numbers on one line
        part = line.strip()
        if depth:
            lines[-1] += part if lines[-1].endswith("[") or part.startswith("]") else " " + part
            depth += part.endswith("[") - part.startswith("]")
        else:
            lines.append(line)
            depth = int(part.endswith("["))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    for chosen in sys.argv[1:] or CASES:
        case(chosen)
