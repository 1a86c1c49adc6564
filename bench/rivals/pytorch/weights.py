"""The weights of a Hugging Face folder as float32 tensors by their names."""
import json
from pathlib import Path

import numpy
import torch

DTYPES = {"F32": numpy.float32, "F16": numpy.float16, "BF16": numpy.uint16}


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    safetensors = folder / "model.safetensors"
    if safetensors.exists():
        return read_safetensors(safetensors)
    pickled = folder / "pytorch_model.bin"
    if pickled.exists():
        return {name: tensor.float() for name, tensor in torch.load(pickled, map_location="cpu").items()}
    raise SystemExit(f"{folder} has neither model.safetensors nor pytorch_model.bin")


def read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    """Eight bytes of length, a JSON of that length, then the values."""
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        values = file.read()
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        array = numpy.frombuffer(values[begin:end], DTYPES[entry["dtype"]])
        if entry["dtype"] == "BF16":
            array = (array.astype(numpy.uint32) << 16).view(numpy.float32)
        tensors[name] = torch.from_numpy(array.astype(numpy.float32)).reshape(entry["shape"])
    return tensors
