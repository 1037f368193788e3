"""The cases of `cltrain bench` in PyTorch, eager mode, on the CPU: same shapes, same operation counts,
same JSON keys (case device median_ms gflops gb_per_s), so that the two can be compared line by line.

usage: bench_pytorch.py [--threads N] [CASE...]

Like cltrain bench, a case warms up, then runs for about a second, and the median run counts.
"""
import argparse
import json
import statistics
import time

import torch
from torch import nn
from torch.nn import functional

WARM_UP, MEASURE, MIN_RUNS = 0.2, 1.0, 5


def matmul(n):
    a, b = torch.randn(n, n), torch.randn(n, n)
    out = torch.empty(n, n)
    return lambda: torch.mm(a, b, out=out)


def conv(train):
    # Channels last is what oneDNN likes best here, and what clgrad uses.
    x = torch.randn(16, 64, 56, 56).to(memory_format=torch.channels_last)
    w = torch.randn(64, 64, 3, 3).to(memory_format=torch.channels_last)
    dy = torch.randn(16, 64, 56, 56).to(memory_format=torch.channels_last)
    if not train:
        def forward():
            with torch.no_grad():
                functional.conv2d(x, w, padding=1)
        return forward
    x.requires_grad_()
    w.requires_grad_()

    def step():
        x.grad = w.grad = None
        functional.conv2d(x, w, padding=1).backward(dy)
    return step


def training_step(model, batch):
    image = torch.rand(batch, 1, 28, 28)
    label = torch.arange(batch) % 10
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step():
        optimizer.zero_grad()
        functional.cross_entropy(model(image), label).backward()
        optimizer.step()
    return step


def mlp():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 10))


def lenet():
    return nn.Sequential(
        nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64 * 7 * 7, 512), nn.ReLU(), nn.Linear(512, 10))


class LSTM(nn.Module):
    """A class from the state after the last step."""

    def __init__(self):
        super().__init__()
        self.lstm, self.fc = nn.LSTM(64, 128), nn.Linear(128, 10)

    def forward(self, x):
        return self.fc(self.lstm(x)[0][-1])


def lstm_step():
    model, x, label = LSTM(), torch.rand(64, 32, 64), torch.arange(32) % 10
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step():
        optimizer.zero_grad()
        functional.cross_entropy(model(x), label).backward()
        optimizer.step()
    return step


def embedding_step(rows):
    """Lookup, gradient and lazy Adam of 4096 rows."""
    table = nn.Embedding(rows, 32, sparse=True, _weight=torch.full((rows, 32), 0.1))
    index = torch.arange(4096) * 2654435761 % 4294967296 % rows
    optimizer = torch.optim.SparseAdam(table.parameters(), lr=1e-3)

    def step():
        optimizer.zero_grad()
        table(index).square().mean().backward()
        optimizer.step()
    return step


def copy():
    source = torch.randn(1 << 24)
    target = torch.empty_like(source)
    return lambda: target.copy_(source)


def conv_flops(batch, side, kernel, inputs, outputs):
    return 2 * batch * side * side * kernel * kernel * inputs * outputs


MLP_FLOPS = 3 * 2 * 128 * (784 * 512 + 512 * 10)
LENET_FLOPS = 3 * (conv_flops(64, 28, 5, 1, 32) + conv_flops(64, 14, 5, 32, 64)
                   + 2 * 64 * (3136 * 512 + 512 * 10))
LSTM_FLOPS = 3 * 2 * 64 * 32 * 4 * 128 * (64 + 128)
EMBEDDING_FLOPS = 16 * 4096 * 32
CONV_FLOPS = conv_flops(16, 56, 3, 64, 64)

# case: (what to run, operations, bytes)
CASES = {
    "copy": (copy, 0, 2 * 4 << 24),
    "matmul-512": (lambda: matmul(512), 2 * 512 ** 3, 0),
    "matmul-1024": (lambda: matmul(1024), 2 * 1024 ** 3, 0),
    "matmul-2048": (lambda: matmul(2048), 2 * 2048 ** 3, 0),
    "conv3x3-64-56-b16": (lambda: conv(False), CONV_FLOPS, 0),
    "conv3x3-64-56-b16-train": (lambda: conv(True), 3 * CONV_FLOPS, 0),
    "step-mlp-b128": (lambda: training_step(mlp(), 128), MLP_FLOPS, 0),
    "step-lenet-b64": (lambda: training_step(lenet(), 64), LENET_FLOPS, 0),
    "step-lstm-b32": (lstm_step, LSTM_FLOPS, 0),
    "step-embedding-10k": (lambda: embedding_step(10_000), EMBEDDING_FLOPS, 0),
    "step-embedding-1m": (lambda: embedding_step(1_000_000), EMBEDDING_FLOPS, 0),
}


def median_seconds(run):
    started = time.perf_counter()
    while time.perf_counter() - started < WARM_UP:
        run()
    times, started = [], time.perf_counter()
    while len(times) < MIN_RUNS or time.perf_counter() - started < MEASURE:
        before = time.perf_counter()
        run()
        times.append(time.perf_counter() - before)
    return statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description="The cases of cltrain bench in PyTorch.")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("cases", nargs="*", metavar="CASE")
    options = parser.parse_args()
    unknown = set(options.cases) - set(CASES)
    if unknown:
        parser.error(f"unknown case {unknown.pop()}; there are: {' '.join(CASES)}")
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    for case in options.cases or CASES:
        build, flops, moved = CASES[case]
        seconds = median_seconds(build())
        print(json.dumps({"case": case, "device": f"PyTorch {torch.__version__}, {options.threads} threads",
                          "median_ms": round(1e3 * seconds, 4), "gflops": round(flops / seconds / 1e9, 2),
                          "gb_per_s": round(moved / seconds / 1e9, 2)}), flush=True)


main()
