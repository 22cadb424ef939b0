"""Opens a file that emberloop wrote with the stock `safetensors` package and prints what is in it, as one JSON object.

    pip install safetensors numpy            # and torch, for --torch
    python tests/tools/check_safetensors.py model.q.safetensors
    python tests/tools/check_safetensors.py checkpoint.safetensors --torch

`--torch` also loads the `rnn.*` tensors of a float checkpoint into torch.nn.RNN / LSTM / GRU with `load_state_dict`
(strict: every tensor must be there, and no other) and runs one step of zeros. Exits with one line on stderr and status
1 if anything is not as it should be.
"""

import argparse
import hashlib
import json
import sys

import numpy as np
from safetensors import safe_open

HASH_KEY = "emberloop.sha256"


def check_hash(path, digits):
    """The SHA-256 of the whole file, its own 64 digits counted as zeros."""
    with open(path, "rb") as file:
        data = file.read()
    return hashlib.sha256(data.replace(digits.encode(), b"0" * 64)).hexdigest() == digits


def summarise(path):
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata() or {}
        tensors = {}
        for name in sorted(file.keys()):
            tensor = file.get_tensor(name)
            entry = {"dtype": str(tensor.dtype), "shape": list(tensor.shape)}
            if tensor.size:
                entry["min"], entry["max"] = tensor.min().item(), tensor.max().item()
                if not np.isfinite(tensor.astype(np.float64)).all():
                    raise ValueError(f"tensor {name}: expected finite values")
            tensors[name] = entry
    summary = {"file": path, "tensors": tensors, "metadata_keys": sorted(metadata)}
    if HASH_KEY in metadata:
        if not check_hash(path, metadata[HASH_KEY]):
            raise ValueError("its SHA-256 differs from the recorded one")
        summary["sha256"] = metadata[HASH_KEY]
    return summary, metadata


def load_into_torch(path, metadata):
    import torch
    from safetensors.torch import load_file

    if "emberloop" not in metadata:
        raise ValueError("has no emberloop metadata")
    architecture = json.loads(metadata["emberloop"])["architecture"]
    kinds = {
        "rnn": torch.nn.RNN,
        "lstm": torch.nn.LSTM,
        "gru_reset_after": torch.nn.GRU,
        # Loads, as names and shapes are the same; PyTorch has no cell that would compute it.
        "gru_reset_before": torch.nn.GRU,
    }
    hidden, cell = architecture["hidden"], architecture["cell"]
    if len(set(hidden)) != 1:
        raise ValueError(f"torch.nn has one size for all layers, found {hidden}")
    module = kinds[cell](
        architecture["inputs"],
        hidden[0],
        num_layers=len(hidden),
        bidirectional=architecture["bidirectional"],
        batch_first=True,
    )
    tensors = load_file(path)
    prefix = "rnn."
    recurrent = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    module.load_state_dict(recurrent, strict=True)
    output, _ = module(torch.zeros(1, 1, architecture["inputs"]))
    loaded = {"module": type(module).__name__, "tensors": sorted(recurrent), "output_shape": list(output.shape)}
    if cell == "gru_reset_before":
        loaded["note"] = "torch.nn.GRU computes reset-after: names and shapes match, results do not"
    return loaded


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--torch", action="store_true", help="load the rnn.* tensors into torch.nn")
    arguments = parser.parse_args()
    try:
        summary, metadata = summarise(arguments.file)
        if arguments.torch:
            summary["torch"] = load_into_torch(arguments.file, metadata)
    except Exception as error:  # one line for whatever a damaged file may raise
        print(f"{arguments.file}: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    print(json.dumps(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
