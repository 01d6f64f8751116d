"""One LoRA step of SmolLM2-135M-Instruct with PEFT: loss and every adapter tensor's gradient, stored small.

    python smollm2_step.py FOLDER > smollm2_step.json

FOLDER holds the GGUF file's weights for transformers. A and B follow from their names (`seeded.py`), so that only what
came out is stored: the loss, and for each tensor the gradient's norm and eight of its numbers.
"""
import json
import sys

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

import seeded

TEXT = """Minutes of the garden club, 3 May. Aiko will water the roses until Friday; Ben offered to mend the gate by
12 May. 議事録：田中さんが看板の修理を5月12日までに行う。次回は6月1日に集まる。The hose costs 45.90 in the shop on the corner.
"""

torch.manual_seed(0)
torch.set_num_threads(2)
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32)
targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
model = get_peft_model(model, LoraConfig(r=8, lora_alpha=16, lora_dropout=0.0, target_modules=targets, task_type="CAUSAL_LM"))
parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
for name, p in parameters.items():
    path = name.removeprefix("base_model.model.").replace(".default", "").removesuffix(".weight")
    module, which = path.rsplit(".", 1)
    # A tenth of what the tiny checkpoints take: a real model's activations are larger.
    p.data = torch.from_numpy(seeded.values(f"{which}.{module}", tuple(p.shape)) * np.float32(0.125))
model.eval()
ids = torch.tensor(tokenizer(TEXT * 3).input_ids[:192]).view(2, 96)
labels = ids.clone()
labels[0, :40] = -100
labels[1, :70] = -100
loss = model(input_ids=ids, labels=labels).loss
loss.backward()
gradients = {}
for name, p in parameters.items():
    g = p.grad.numpy().ravel()
    picked = [float(x) for x in g[:: max(1, g.size // 8)][:8]]
    gradients[name.replace(".default", "")] = [float(np.sqrt((g.astype(np.float64) ** 2).sum()))] + picked
out = {"rank": 8, "alpha": 16, "ids": ids.tolist(), "masked": [40, 70], "loss": loss.item(), "gradients": gradients}
print(json.dumps(out, separators=(",", ":"), default=float))
