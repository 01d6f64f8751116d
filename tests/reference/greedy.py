"""Makes greedy_NAME.json: what transformers (f32, CPU) adds to 20 prompts, greedily, on a real model.

    python tests/reference/greedy.py NAME FOLDER

FOLDER holds the weights of the model's GGUF file as a Hugging Face folder. Per prompt: its text, its ids as the folder's
tokenizer gives them, 64 tokens by argmax (end tokens do not end), the smallest gap between the first two logits on the
way, and of the logits at the prompt's last position the five largest and a weighted sum. A prompt on which some choice is
close is passed over.
"""
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import seeded
from make import digits, write

TOKENS = 64
ENGLISH = [
    "The old lighthouse keeper climbed the stairs and",
    "To bake a loaf of bread, you first need",
    "Water boils at a lower temperature on a mountain because",
    "Dear Ms. Okafor,\n\nThank you for your letter about",
    "In the minutes of the meeting, the following tasks were agreed:\n-",
    "The capital of France is",
    "def mean(values):\n    \"\"\"Returns the mean of a list.\"\"\"\n",
    "Once the rain had stopped, the children ran to the river and found",
    "Three reasons to sharpen a knife by hand:",
    "Question: Why do cats purr?\nAnswer:",
    "The difference between a bus and a tram is that",
    "She opened the letter slowly, as if",
]
JAPANESE = [
    "昔々、山のふもとの小さな村に",
    "日本の首都は",
    "包丁を研ぐには、まず砥石を",
    "議事録：来週の会議までに、伊藤さんは",
    "猫がのどを鳴らすのは、",
    "春になると、桜の花が",
    "お問い合わせありがとうございます。ご注文の商品は",
    "おいしいご飯を炊くには、",
    "図書館で本を借りるときは、",
    "次の文を英語に訳してください。\n「今日は天気がいいので、散歩に行きましょう。」\n",
    "電車が遅れたため、私は",
    "機械学習とは、",
]


@torch.no_grad()
def continued(model, prompts):
    """For each prompt its greedy tokens and the smallest gap; all prompts in one batch, padded on the left."""
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    places = (mask.cumsum(1) - 1).clamp(min=0)
    tokens, gaps, cache = [], [], None
    while len(tokens) < TOKENS:
        out = model(input_ids=ids, attention_mask=mask, position_ids=places, past_key_values=cache, use_cache=True,
                    logits_to_keep=1)
        cache = out.past_key_values
        top = out.logits[:, -1].float().topk(2)
        gaps.append(top.values[:, 0] - top.values[:, 1])
        ids = top.indices[:, :1]
        tokens.append(ids[:, 0])
        mask = torch.cat([mask, torch.ones_like(ids)], 1)
        places = places[:, -1:] + 1
    return torch.stack(tokens, 1).tolist(), torch.stack(gaps).amin(0).tolist()


@torch.no_grad()
def first(model, ids):
    logits = model(input_ids=torch.tensor([ids]), logits_to_keep=1).logits[0, -1].float()
    top = logits.topk(5)
    weight = torch.from_numpy(seeded.uniform("checksum", logits.numel())).double()
    return dict(top_ids=top.indices.tolist(), top_logits=[digits(x) for x in top.values],
                norm=digits(logits.double().norm()), checksum=digits(logits.double() @ weight))


if __name__ == "__main__":
    name, folder = sys.argv[1:]
    torch.set_num_threads(2)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    kept = []
    for prompts in (ENGLISH, JAPANESE):
        encoded = [tokenizer(prompt).input_ids for prompt in prompts]
        enough = len(kept) + 10
        for prompt, ids, tokens, gap in zip(prompts, encoded, *continued(model, encoded)):
            print(f"{gap:.4f}", repr(prompt + tokenizer.decode(tokens))[:150], flush=True)
            if gap > 2e-3 and len(kept) < enough:
                kept.append(dict(prompt=prompt, ids=ids, tokens=tokens, gap=digits(gap), **first(model, ids)))
    assert len(kept) == 20, len(kept)
    write(Path(__file__).resolve().parent / f"greedy_{name}.json", dict(model=name, prompts=kept))
