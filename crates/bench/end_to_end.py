"""models/ecg-beats in PyTorch as one would write it for speed: the file read once, everything in memory, a DataLoader
over a TensorDataset that takes whole batches by index, loss and metrics of both splits."""

import tomllib
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler, TensorDataset

EVALUATION_BATCH = 128


class Network(nn.Module):
    def __init__(self, inputs, hidden, classes, dropout):
        super().__init__()
        self.layer = nn.GRU(inputs, hidden, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, classes)

    def forward(self, values):
        states, _ = self.layer(values)
        return self.head(self.dropout(states[:, -1]))


def load(config, folder):
    """Training and validation split, scaled by the training split."""
    data = np.load(folder / config["data"]["train"])
    groups = data[config["data"]["group"]]
    values, labels = torch.from_numpy(data["x"].astype(np.float32)), torch.from_numpy(data["y"])
    belongs = lambda key: np.isin(groups, [int(group) for group in config["data"][key]])
    validation, test = belongs("validation_groups"), belongs("test_groups")
    train = torch.from_numpy(~validation & ~test)
    validation = torch.from_numpy(validation)
    mean, deviation = values[train].mean((0, 1)), values[train].std((0, 1))
    values = (values - mean) / deviation
    return TensorDataset(values[train], labels[train]), TensorDataset(values[validation], labels[validation])


def batches(dataset, size, shuffle):
    sampler = RandomSampler(dataset) if shuffle else SequentialSampler(dataset)
    return DataLoader(dataset, sampler=BatchSampler(sampler, size, drop_last=False), batch_size=None)


def f1(confusion):
    hits = confusion.diagonal()
    return (2 * hits / (confusion.sum(0) + confusion.sum(1)).clamp(min=1)).mean().item()


def epoch(network, data, criterion, device, size, optimizer=None):
    """Loss and confusion matrix of one pass; learns if there is an optimizer."""
    classes = network.head.out_features
    confusion, loss_sum = torch.zeros(classes, classes), 0.0
    for values, labels in batches(data, size, shuffle=optimizer is not None):
        values, labels = values.to(device), labels.to(device)
        outputs = network(values)
        loss = criterion(outputs, labels)
        if optimizer:
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
        loss_sum += loss.item() * len(labels)
        pairs = (labels * classes + outputs.detach().argmax(1)).cpu()
        confusion += torch.bincount(pairs, minlength=classes * classes).view(classes, classes)
    return loss_sum / len(data), f1(confusion)


def run(config, epochs, device, clock):
    began = clock()
    path = Path(config)
    config = tomllib.loads(path.read_text())
    train, validation = load(config, path.parent)
    load_ms = (clock() - began) * 1000.0
    torch.manual_seed(config["training"]["seed"])
    model, training = config["model"], config["training"]
    classes = len(config["data"]["labels"])
    network = Network(train.tensors[0].shape[2], model["hidden"][0], classes, model["dropout"]).to(device)
    weights = torch.tensor(training["loss"]["class_weights"], device=device)
    criterion = nn.CrossEntropyLoss(weight=weights)
    optimizer = torch.optim.Adam(network.parameters(), lr=training["optimizer"]["learning_rate"], fused=True)
    took = []
    for _ in range(epochs):
        began = clock()
        network.train()
        epoch(network, train, criterion, device, training["batch"], optimizer)
        network.eval()
        with torch.inference_mode():
            epoch(network, validation, criterion, device, EVALUATION_BATCH)
        took.append((clock() - began) * 1000.0)
    return {"load_ms": load_ms, "epoch_ms": took, "sequences": len(train)}
