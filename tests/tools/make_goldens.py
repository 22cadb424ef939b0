"""Golden numbers from PyTorch and Keras: what our training must reproduce. Writes tests/data/*.json.

    pip install torch keras numpy
    python tests/tools/make_goldens.py

Everything is computed in float64 and stored with ten significant digits. Weights and inputs are multiples of 1/256, so
they are exact in float32 as well. Each file also says how far PyTorch's own float32 is from these numbers
(`float32_difference`): that is what a float32 implementation can be asked for. The format is described in
tests/data/README.md.
"""

import json
import os
import platform
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

DATA = Path(__file__).resolve().parent.parent / "data"

BATCH, STEPS, INPUTS, HIDDEN, CLASSES = 3, 7, 4, 5, 3
LENGTHS = [4, 7, 2]  # not sorted, and one sequence fills all steps
TARGETS = [2, 0, 1]
CLASS_WEIGHTS = [0.5, 2.0, 1.25]
SMOOTHING = 0.1
CLIP_NORM = 0.5

# Name, keyword arguments for PyTorch. Everything not named is PyTorch's default and recorded in the file.
OPTIMIZERS = [
    ("adam", torch.optim.Adam, {"lr": 1e-2}),
    ("adamw", torch.optim.AdamW, {"lr": 1e-2, "weight_decay": 0.1}),
    ("rmsprop", torch.optim.RMSprop, {"lr": 1e-2}),
    ("sgd", torch.optim.SGD, {"lr": 0.5, "momentum": 0.9}),
]
RECORDED_DEFAULTS = ["lr", "betas", "eps", "weight_decay", "alpha", "momentum", "dampening", "nesterov", "centered"]


class GruResetBefore(nn.Module):
    """The GRU of the original paper (Cho et al. 2014, eqs. 5 to 8), which torch.nn does not have.

    Its tensors are named and stacked like torch.nn.GRU's. Plain operations, one sequence at a time: slow and obvious.
    """

    def __init__(self, inputs, hidden):
        super().__init__()
        self.hidden = hidden
        self.weight_ih_l0 = nn.Parameter(torch.zeros(3 * hidden, inputs))
        self.weight_hh_l0 = nn.Parameter(torch.zeros(3 * hidden, hidden))
        self.bias_ih_l0 = nn.Parameter(torch.zeros(3 * hidden))
        self.bias_hh_l0 = nn.Parameter(torch.zeros(3 * hidden))

    def step(self, x, h):
        w_r, w_z, w_n = self.weight_ih_l0.chunk(3)
        u_r, u_z, u_n = self.weight_hh_l0.chunk(3)
        b_r, b_z, b_n = (self.bias_ih_l0 + self.bias_hh_l0).chunk(3)
        r = torch.sigmoid(w_r @ x + u_r @ h + b_r)
        z = torch.sigmoid(w_z @ x + u_z @ h + b_z)
        n = torch.tanh(w_n @ x + u_n @ (r * h) + b_n)
        return (1 - z) * n + z * h

    def run(self, x, lengths):
        outputs, finals = [], []
        for sequence, length in zip(x, lengths):
            h = x.new_zeros(self.hidden)
            states = []
            for step in range(length):
                h = self.step(sequence[step], h)
                states.append(h)
            padding = [torch.zeros_like(h)] * (x.shape[1] - length)
            outputs.append(torch.stack(states + padding))
            finals.append(h)
        return torch.stack(outputs), torch.stack(finals).unsqueeze(0), None


class Model(nn.Module):
    """A recurrent network and a linear head on the state after the last valid step (of each direction)."""

    def __init__(self, cell, layers, bidirectional):
        super().__init__()
        arguments = {"num_layers": layers, "bidirectional": bidirectional, "batch_first": True}
        if cell == "gru_reset_before":
            self.rnn = GruResetBefore(INPUTS, HIDDEN)
        else:
            kind = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru_reset_after": nn.GRU}[cell]
            self.rnn = kind(INPUTS, HIDDEN, **arguments)
        self.directions = 2 if bidirectional else 1
        self.head = nn.Linear(HIDDEN * self.directions, CLASSES)

    def forward(self, x):
        """Returns the top layer's states at every step, the final states, the final cell states, and the logits."""
        if isinstance(self.rnn, GruResetBefore):
            states, final, cell = self.rnn.run(x, LENGTHS)
        else:
            packed = pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False)
            packed, final = self.rnn(packed)
            final, cell = final if isinstance(final, tuple) else (final, None)
            states, _ = pad_packed_sequence(packed, batch_first=True, total_length=STEPS)
        top = final[-self.directions :]
        return states, final, cell, self.head(torch.cat(list(top), dim=1))


def exact(generator, *shape, scale):
    """Random multiples of 1/256 within +-scale: the same number in float32, float64 and short decimal."""
    values = (torch.rand(*shape, generator=generator, dtype=torch.float64) * 2 - 1) * scale
    return (values * 256).round() / 256 + 0.0  # no negative zeros


def number(value):
    value = value.item() if isinstance(value, torch.Tensor) else value
    return float(f"{value:.10g}")


def array(tensor):
    tensor = tensor.detach()
    return {"shape": list(tensor.shape), "values": [number(value) for value in tensor.flatten().tolist()]}


def named(tensors):
    return {name: array(tensor) for name, tensor in tensors}


def run_case(cell, layers, bidirectional, weights, x, dtype):
    """Everything that one golden file expects, computed in `dtype`."""

    def fresh():
        model = Model(cell, layers, bidirectional).to(dtype)
        model.load_state_dict({name: value.to(dtype) for name, value in weights.items()})
        return model

    model = fresh()
    inputs = x.to(dtype).clone().requires_grad_(True)
    targets = torch.tensor(TARGETS)
    states, final, cell_state, logits = model(inputs)
    loss = nn.functional.cross_entropy(logits, targets)
    loss.backward()
    expected = {
        "states": array(states),
        "final_hidden": array(final),
        "final_cell": None if cell_state is None else array(cell_state),
        "logits": array(logits),
        "loss": number(loss),
        "gradients": named((name, value.grad) for name, value in model.named_parameters()),
        "input_gradient": array(inputs.grad),
    }

    losses = []
    for class_weights, smoothing in [
        (None, 0.0),
        (CLASS_WEIGHTS, 0.0),
        (None, SMOOTHING),
        (CLASS_WEIGHTS, SMOOTHING),
    ]:
        leaf = logits.detach().clone().requires_grad_(True)
        weight = None if class_weights is None else torch.tensor(class_weights, dtype=dtype)
        value = nn.functional.cross_entropy(leaf, targets, weight=weight, label_smoothing=smoothing)
        value.backward()
        losses.append(
            {
                "class_weights": class_weights,
                "label_smoothing": smoothing,
                "loss": number(value),
                "logits_gradient": array(leaf.grad),
            }
        )

    optimizers = []
    for kind, optimizer_class, arguments in OPTIMIZERS:
        model = fresh()
        optimizer = optimizer_class(model.parameters(), **arguments)
        defaults = optimizer.defaults
        record = {"kind": kind, "clip_norm": CLIP_NORM, "losses": [], "norms": [], "steps": []}
        record["settings"] = {key: defaults[key] for key in RECORDED_DEFAULTS if key in defaults}
        for _ in range(3):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x.to(dtype))[-1], targets)
            loss.backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
            optimizer.step()
            record["losses"].append(number(loss))
            record["norms"].append(number(norm))
            record["steps"].append(named(model.named_parameters()))
        if kind != "adam":  # keeps the files small
            record["steps"] = record["steps"][-1:]
        optimizers.append(record)
    return {"expected": expected, "losses": losses, "optimizers": optimizers}


def difference(left, right):
    """The largest absolute difference between two structures of the same form."""
    if isinstance(left, dict):
        return max((difference(left[key], right[key]) for key in left), default=0.0)
    if isinstance(left, list):
        return max((difference(a, b) for a, b in zip(left, right)), default=0.0)
    if isinstance(left, float):
        return abs(left - right)
    return 0.0


def smallest_gradient(result):
    gradients = result["expected"]["gradients"].values()
    return min(abs(value) for gradient in gradients for value in gradient["values"])


def versions(*modules):
    found = {module.__name__: module.__version__ for module in modules}
    return {"python": platform.python_version(), **found}


def write(name, content):
    path = DATA / name
    text = json.dumps(content, separators=(",", ":"))
    # One key a line: reviewable, yet small.
    for key in content:
        text = text.replace(f',"{key}":', f',\n"{key}":', 1)
    path.write_text(text + "\n")
    print(f"{path.name}: {path.stat().st_size} bytes")


def network_case(name, cell, layers=1, bidirectional=False, *, seed):
    generator = torch.Generator().manual_seed(seed)
    shapes = {key: value.shape for key, value in Model(cell, layers, bidirectional).state_dict().items()}
    weights = {key: exact(generator, *shape, scale=1.5 if "head" in key else 0.75) for key, shape in shapes.items()}
    x = exact(generator, BATCH, STEPS, INPUTS, scale=2.0)
    for row, length in enumerate(LENGTHS):
        x[row, length:] = 7.5  # padding that would be noticed
    double = run_case(cell, layers, bidirectional, weights, x, torch.float64)
    single = run_case(cell, layers, bidirectional, weights, x, torch.float32)
    spread = {key: float(f"{difference(double[key], single[key]):.2g}") for key in double}
    # Adam divides by the gradient's size: a vanishing one would make the golden a matter of rounding.
    assert smallest_gradient(double) > 2e-5, (name, smallest_gradient(double))
    assert max(spread.values()) < 4e-6, (name, spread)
    content = {
        "versions": versions(torch, np),
        "seed": seed,
        "cell": cell,
        "inputs": INPUTS,
        "hidden": [HIDDEN] * layers,
        "bidirectional": bidirectional,
        "outputs": CLASSES,
        "lengths": LENGTHS,
        "classes": TARGETS,
        "x": array(x),
        "tensors": named(weights.items()),
        **double,
        "float32_difference": spread,
    }
    write(f"{name}.json", content)
    return weights, x, double


def check_against_keras(weights, x, result):
    """Our hand-written GRU must be Keras's with reset_after=False: gates z, r, h; matrices transposed; one bias."""
    import keras

    def reorder(matrix):
        r, z, n = np.split(matrix, 3, axis=0)
        return np.concatenate([z, r, n], axis=0)

    take = lambda key: reorder(weights[f"rnn.{key}_l0"].numpy())
    layer = keras.layers.GRU(HIDDEN, reset_after=False, return_sequences=True, dtype="float64")
    layer.build((None, STEPS, INPUTS))
    layer.set_weights([take("weight_ih").T, take("weight_hh").T, take("bias_ih") + take("bias_hh")])
    found = layer(x.numpy()).detach().numpy()
    expected = np.array(result["expected"]["states"]["values"]).reshape(found.shape)
    for row, length in enumerate(LENGTHS):
        worst = np.abs(found[row, :length] - expected[row, :length]).max()
        assert worst < 1e-7, worst  # Keras's PyTorch backend carries the state in float32
    print("gru_reset_before equals keras.layers.GRU(reset_after=False)")


def losses_case(seed=1):
    """Losses with a target at every step; the steps behind a sequence's end do not count."""
    generator = torch.Generator().manual_seed(seed)
    values = 2
    mask = torch.arange(STEPS)[None, :] < torch.tensor(LENGTHS)[:, None]
    predictions = exact(generator, BATCH, STEPS, values, scale=2.0)
    targets = exact(generator, BATCH, STEPS, values, scale=2.0)
    logits = exact(generator, BATCH, STEPS, CLASSES, scale=3.0)
    classes = torch.randint(0, CLASSES, (BATCH, STEPS), generator=generator)
    for tensor in (predictions, targets, logits):
        tensor[~mask] = 7.5
    classes[~mask] = 0

    regression = []
    functions = [
        ("mse", None, lambda p, t: nn.functional.mse_loss(p, t)),
        ("mae", None, lambda p, t: nn.functional.l1_loss(p, t)),
        ("huber", 1.0, lambda p, t: nn.functional.huber_loss(p, t, delta=1.0)),
        ("huber", 0.5, lambda p, t: nn.functional.huber_loss(p, t, delta=0.5)),
    ]
    for kind, delta, function in functions:
        leaf = predictions.clone().requires_grad_(True)
        loss = function(leaf[mask], targets[mask])
        loss.backward()
        regression.append({"kind": kind, "delta": delta, "loss": number(loss), "gradient": array(leaf.grad)})

    classification = []
    for class_weights, smoothing in [(None, 0.0), (CLASS_WEIGHTS, 0.0), (None, SMOOTHING), (CLASS_WEIGHTS, SMOOTHING)]:
        leaf = logits.clone().requires_grad_(True)
        weight = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float64)
        loss = nn.functional.cross_entropy(leaf[mask], classes[mask], weight=weight, label_smoothing=smoothing)
        loss.backward()
        classification.append(
            {
                "class_weights": class_weights,
                "label_smoothing": smoothing,
                "loss": number(loss),
                "gradient": array(leaf.grad),
            }
        )
    write(
        "losses.json",
        {
            "versions": versions(torch),
            "seed": seed,
            "lengths": LENGTHS,
            "predictions": array(predictions),
            "targets": array(targets),
            "regression": regression,
            "logits": array(logits),
            "classes": classes.flatten().tolist(),
            "classification": classification,
        },
    )


def plateau_case():
    """keras.callbacks.ReduceLROnPlateau, driven by hand: the metric of each epoch, the learning rate after it."""
    import keras

    class Optimizer:
        learning_rate = 0.0

    class StubModel:
        optimizer = Optimizer()

    falling = [1.0, 0.8, 0.7, 0.7, 0.7, 0.71, 0.69995, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.5, 0.6, 0.6, 0.6]
    flat = [1.0] * 16
    rising = [0.1, 0.3, 0.5, 0.5, 0.50005, 0.5, 0.6, 0.59, 0.58, 0.57, 0.6, 0.6, 0.6002, 0.6, 0.6, 0.6]
    # Bounces around the best by less and by more than min_delta.
    noisy = [0.50, 0.52, 0.495, 0.4951, 0.494, 0.51, 0.47, 0.469, 0.468, 0.467, 0.466, 0.465, 0.44, 0.4395, 0.439, 0.5]
    settings = [
        (falling, {"factor": 0.2, "patience": 3}),
        (falling, {"factor": 0.5, "patience": 2, "min_delta": 0.0}),
        (falling, {"factor": 0.5, "patience": 1, "cooldown": 2}),
        (falling, {"factor": 0.1, "patience": 2, "min_lr": 5e-5}),
        (flat, {"factor": 0.1, "patience": 0}),
        (flat, {"factor": 0.5, "patience": 2, "cooldown": 3, "min_lr": 1e-3}),
        (rising, {"factor": 0.2, "patience": 2, "mode": "max"}),
        (rising, {"factor": 0.5, "patience": 1, "mode": "max", "min_delta": 0.01, "cooldown": 1}),
        (noisy, {"factor": 0.3, "patience": 2, "min_delta": 0.01}),
        (noisy, {"factor": 0.3, "patience": 2, "min_delta": 0.01, "cooldown": 1, "min_lr": 2e-4}),
    ]
    cases = []
    for metrics, arguments in settings:
        full = {"factor": 0.1, "patience": 10, "mode": "min", "min_delta": 1e-4, "cooldown": 0, "min_lr": 0.0}
        full.update(arguments)
        callback = keras.callbacks.ReduceLROnPlateau(monitor="val_loss", verbose=0, **full)
        model = StubModel()
        model.optimizer.learning_rate = 2e-3
        callback.set_model(model)
        callback.on_train_begin()
        rates = []
        for epoch, metric in enumerate(metrics):
            callback.on_epoch_end(epoch, {"val_loss": metric})
            rates.append(number(model.optimizer.learning_rate))
        cases.append({**full, "initial_learning_rate": 2e-3, "metrics": metrics, "learning_rates": rates})
    write("plateau.json", {"versions": versions(keras, torch), "cases": cases})


def main():
    torch.set_num_threads(1)
    DATA.mkdir(exist_ok=True)
    # The seeds are those, of the first thirty, without vanishing gradients; the norms of "lstm" cross CLIP_NORM.
    network_case("rnn", "rnn", seed=3)
    network_case("lstm", "lstm", seed=26)
    network_case("lstm_two_layers", "lstm", layers=2, seed=14)
    network_case("gru", "gru_reset_after", seed=9)
    network_case("gru_bidirectional", "gru_reset_after", bidirectional=True, seed=20)
    check_against_keras(*network_case("gru_reset_before", "gru_reset_before", seed=16))
    losses_case()
    plateau_case()


if __name__ == "__main__":
    main()
