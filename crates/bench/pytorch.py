"""PyTorch's worker of `cargo xtask bench-training`: questions and answers as in `src/protocol.rs`.

PyTorch gets its best: of oneDNN on or off, and of three implementations of Adam, the fastest for each case is taken;
denormals are flushed; a batch is cut out of one tensor in memory by index, without a DataLoader.

Usage: pytorch.py --threads N --device cpu|cuda --clock wall|cpu
"""

import argparse
import contextlib
import itertools
import json
import sys
import time
import warnings

import torch
from torch import nn
from torch.nn.functional import cross_entropy

CELLS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
CLIP_NORM = 1.0


clock = time.perf_counter


def milliseconds(function):
    began = clock()
    function()
    return (clock() - began) * 1000.0


class Network(nn.Module):
    """One recurrent layer and a head on its last or on every step; time first."""

    def __init__(self, cell, inputs, hidden, classes, every, dropout=0.0):
        super().__init__()
        self.layer = CELLS[cell](inputs, hidden)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, classes)
        self.every = every

    def forward(self, values):
        states, _ = self.layer(values)
        return self.head(self.dropout(states if self.every else states[-1]))


class Case:
    """A network, its optimizer and its data: `[steps, sequences, inputs]`."""

    def __init__(self, case, device):
        torch.manual_seed(1)
        self.case, self.device = case, device
        self.every = case["loss"] == "every"
        shape = (case["steps"], case["sequences"], case["inputs"])
        self.values = torch.randn(shape, device=device)
        labels = shape[:2] if self.every else shape[1:2]
        self.labels = torch.randint(case["classes"], labels, device=device)
        self.mean, self.deviation = self.values.mean((0, 1)), self.values.std((0, 1))
        self.order, self.at = torch.randperm(case["sequences"], device=device), 0
        self.reset({})

    def reset(self, adam):
        case = self.case
        self.network = Network(case["cell"], case["inputs"], case["hidden"], case["classes"], self.every)
        self.network.to(self.device)
        self.optimizer = torch.optim.Adam(self.network.parameters(), **adam)

    def step(self):
        """One step of the optimizer on the next batch."""
        batch = self.case["batch"]
        if self.at + batch > len(self.order):
            self.order, self.at = torch.randperm(len(self.order), device=self.device), 0
        index = self.order[self.at : self.at + batch]
        self.at += batch
        labels = self.labels.index_select(-1, index)
        outputs = self.network(self.values.index_select(1, index))
        loss = cross_entropy(outputs.flatten(0, 1), labels.flatten()) if self.every else cross_entropy(outputs, labels)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), CLIP_NORM)
        self.optimizer.step()
        return loss.item()

    @torch.inference_mode()
    def infer(self, batch):
        """The outputs of every sequence, from raw values to numbers on the host."""
        scaled = (self.values - self.mean) / self.deviation
        return [self.network(part).cpu() for part in scaled.split(batch, dim=1)]


class Worker:
    def __init__(self, device):
        self.device = device
        self.repeat = None

    def prepare(self, case, onednn=None):
        self.repeat = None
        if not case["reset_after"]:
            raise ValueError("PyTorch has no GRU that resets before the product")
        made = Case(case, self.device)
        train = case["pass"] == "train"
        if train:
            ways = [{"fused": True}, {"foreach": True}, {"foreach": False}]
        else:
            ways = [size for size in (64, 128, 256, 1024) if size <= case["sequences"]]
        if onednn is not None:
            # Told what to take: only as much memory is touched as this one needs.
            kernels, ways = [onednn], ways[:1]
        else:
            kernels = [True, False] if self.device == "cpu" else [True]

        def take(onednn, way):
            torch.backends.mkldnn.set_flags(onednn)
            if train:
                made.reset(way)
            self.repeat = made.step if train else lambda: made.infer(way)

        best = None
        for candidate in itertools.product(kernels, ways):
            take(*candidate)
            took = self.warm()
            if best is None or took < best[0]:
                best = took, candidate
        took, (onednn, way) = best
        take(onednn, way)
        self.repeat()
        how = "Adam " + ", ".join(f"{key}={value}" for key, value in way.items()) if train else f"batches of {way}"
        return {"ms": took, "variant": f"oneDNN {'on' if onednn else 'off'}, {how}"}

    def warm(self):
        """The fastest of some repetitions behind a first one; at least two, and for a fifth of a second."""
        self.repeat()
        times = []
        while len(times) < 2 or (sum(times) < 200.0 and len(times) < 12):
            times.append(milliseconds(self.repeat))
        return min(times)

    def run(self, count):
        return {"ms": [milliseconds(self.repeat) for _ in range(count)]}

    def end_to_end(self, config, epochs):
        import end_to_end

        return end_to_end.run(config, epochs, self.device, clock)

    def answer(self, request):
        what = request.pop("do")
        if what == "memory":
            return {"rss_kib": status("VmRSS:"), "peak_kib": status("VmHWM:")}
        if what == "reset_memory":
            # proc(5): 5 resets the peak resident set size.
            with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
                file.write("5")
            return {}
        return {"prepare": self.prepare, "run": self.run, "end_to_end": self.end_to_end}[what](**request)


def status(field):
    with contextlib.suppress(OSError), open("/proc/self/status") as file:
        for line in file:
            if line.startswith(field):
                return int(line.split()[1])
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    arguments = parser.parse_args()
    if arguments.clock == "cpu":
        global clock
        clock = time.process_time
    warnings.simplefilter("ignore")
    # Before the first parallel operation: threads that start later inherit it.
    torch.set_flush_denormal(True)
    torch.set_num_threads(arguments.threads)
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print(json.dumps({"error": "PyTorch sees no GPU"}), flush=True)
        return
    isa = torch.backends.cpu.get_cpu_capability()
    print(json.dumps({"name": f"PyTorch {torch.__version__}", "isa": isa.lower()}), flush=True)
    worker = Worker(arguments.device)
    for line in sys.stdin:
        try:
            answer = worker.answer(json.loads(line))
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
