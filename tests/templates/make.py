"""Renders the templates beside this file with transformers and writes renderings.json.

    python tests/templates/make.py        # needs transformers and jinja2
"""
import json
import pathlib

from transformers.utils.chat_template_utils import _compile_jinja_template, _render_with_assistant_indices

here = pathlib.Path(__file__).parent


def turn(role, content, **more):
    return {"role": role, "content": content, **more}


call = {"type": "function", "function": {"name": "w", "arguments": {"city": "東京", "n": 1}}}
tools = [{"type": "function", "function": {"name": "w", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]
conversations = {
    "one": [turn("user", " Hi \n")],
    "system": [turn("system", "Be brief."), turn("user", "研ぎとは?"), turn("assistant", " 刃物 \n")],
    "several": [turn("user", "a"), turn("assistant", "<think>\nhm\n</think>\n\nb"), turn("user", "cat"), turn("assistant", "<think>\nho\n</think>\n\nd")],
    "tool": [turn("user", "w?"), turn("assistant", "", tool_calls=[call]), turn("tool", "12")],
}
renderings = []
for path in sorted(here.glob("*.jinja")):
    template = _compile_jinja_template(path.read_text())
    for name, messages in conversations.items():
        for prompt in (False, True):
            variables = {"messages": messages, "tools": tools if name == "tool" else None, "documents": None, "add_generation_prompt": prompt, "bos_token": "<bos>", "eos_token": "<eos>"}
            row = {"template": path.stem, "conversation": name, "variables": variables}
            try:
                row["text"] = template.render(**variables)
                if path.stem == "generation":
                    names = ("messages", "tools", "documents", "add_generation_prompt")
                    rest = {k: v for k, v in variables.items() if k not in names}
                    text, indices = _render_with_assistant_indices(template, messages, variables["tools"], None, prompt, **rest)
                    assert text == row["text"]
                    row["generations"] = [[len(text[:i].encode()) for i in pair] for pair in indices]
            except Exception as error:
                row["refused"] = str(error)
            renderings.append(row)
(here / "renderings.json").write_text(json.dumps(renderings, ensure_ascii=False, indent=1) + "\n")
print(len(renderings), "renderings")
