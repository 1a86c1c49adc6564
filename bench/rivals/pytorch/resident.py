"""PyTorch as a resident translator: a line of JSON says which sentences, and a line of JSON has what they became.

The argument is a JSON object: source (a Hugging Face folder of a Marian model), ids_file, threads, batch, precision (f32 or int8), and
whether transformers' own model and generate() are used. It says `{"ready": …}` first.
"""
import json
import sys
import time
from pathlib import Path

import torch

from generate import Rules, generate
from marian import load_marian


def main() -> None:
    spec = json.loads(sys.argv[1])
    torch.set_num_threads(spec["threads"])
    sentences = json.loads(Path(spec["ids_file"]).read_text())
    translate, version = with_transformers(spec) if spec["transformers"] else plainly(spec)
    say({"ready": version, "gflops": gflops()})
    for line in sys.stdin:
        turn = json.loads(line)
        chosen = sentences[: turn["count"]]
        size = 1 if turn["mode"] == "one" else spec["batch"]
        began = time.perf_counter()
        ids = in_batches(chosen, size, lambda batch: translate(batch, turn["beams"]))
        say({"seconds": time.perf_counter() - began, "ids": ids})


def plainly(spec: dict):
    folder = Path(spec["source"])
    config = json.loads((folder / "config.json").read_text())
    own = folder / "generation_config.json"
    rules = Rules({**config, **(json.loads(own.read_text()) if own.exists() else {})}, output_size(config))
    rules.max_length = min(rules.max_length, config["max_position_embeddings"])
    model = quantized(load_marian(folder, config), spec)
    return lambda batch, beams: generate(model, rules, batch, beams), f"torch {torch.__version__}"


def output_size(config: dict) -> int:
    return config.get("decoder_vocab_size") or config["vocab_size"]


def with_transformers(spec: dict):
    import transformers

    model = quantized(transformers.MarianMTModel.from_pretrained(spec["source"]).float().eval(), spec)
    config = model.generation_config
    end = config.eos_token_id

    @torch.inference_mode()
    def translate(batch, beams):
        width = max(len(sentence) for sentence in batch)
        padded = [sentence + [config.pad_token_id] * (width - len(sentence)) for sentence in batch]
        mask = [[1] * len(sentence) + [0] * (width - len(sentence)) for sentence in batch]
        made = model.generate(torch.tensor(padded), attention_mask=torch.tensor(mask), num_beams=beams, do_sample=False)
        rows = [row[1:] for row in made.tolist()]
        return [row[: row.index(end) + 1] if end in row else row for row in rows]

    return translate, f"transformers {transformers.__version__}, torch {torch.__version__}"


def quantized(model, spec: dict):
    """In int8: every Linear by torch.ao's dynamic quantization, with the best engine that this build has."""
    if spec["precision"] == "f32":
        return model
    known = torch.backends.quantized.supported_engines
    torch.backends.quantized.engine = next(name for name in ("x86", "fbgemm", "onednn", "qnnpack") if name in known)
    return torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)


def in_batches(sentences, size: int, translate):
    """Sorted by length, so that little is padded; answers in the order of the sentences."""
    order = sorted(range(len(sentences)), key=lambda at: len(sentences[at])) if size > 1 else range(len(sentences))
    order, outputs = list(order), [None] * len(sentences)
    for begin in range(0, len(order), size):
        places = order[begin : begin + size]
        for place, ids in zip(places, translate([sentences[place] for place in places])):
            outputs[place] = ids
    return outputs


@torch.inference_mode()
def gflops() -> float:
    """Of a product of 64 rows with 512 × 2048 weights: shows whether torch has a BLAS worth the name."""
    rows, weights = torch.randn(64, 512), torch.randn(2048, 512)
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        torch.nn.functional.linear(rows, weights)
        best = min(best, time.perf_counter() - began)
    return 2e-9 * 64 * 512 * 2048 / best


def say(answer: dict) -> None:
    print(json.dumps(answer), flush=True)


main()
