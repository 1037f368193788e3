"""The cases of `cltrain bench` in PyTorch, on the CPU: same shapes, same operation counts, same JSON keys
(case device median_ms gflops gb_per_s memory_bytes), so that the two can be compared line by line.

usage: bench_pytorch.py [--threads N] [--compile] [--list] [CASE...]

Like cltrain bench, a case warms up, then runs for about a second, and the median run counts. --compile
uses torch.compile instead of eager mode. Memory is what the process grows by at most while it builds and runs
the case, of which only the first one of a process is telling (Linux).
"""
import argparse
import json
import statistics
import time

import torch
from torch import nn
from torch.nn import functional

WARM_UP, MEASURE, MIN_RUNS = 0.2, 1.0, 5


def as_is(function):
    return function


compiled = as_is  # or torch.compile


def matmul(n):
    a, b = torch.randn(n, n), torch.randn(n, n)
    out = torch.empty(n, n)
    return lambda: torch.mm(a, b, out=out)


# name: batch, side, kernel, in, out, stride, dilation, groups; as in bench_cases.c
CONVOLUTIONS = {
    "conv3x3-64-56-b16": (16, 56, 3, 64, 64, 1, 1, 1),
    "conv3x3-16-32-b128": (128, 32, 3, 16, 16, 1, 1, 1),
    "conv3x3-256-14-b16": (16, 14, 3, 256, 256, 1, 1, 1),
    "conv3x3-512-7-b16": (16, 7, 3, 512, 512, 1, 1, 1),
    "conv5x5-32-64-14-b64": (64, 14, 5, 32, 64, 1, 1, 1),
    "conv1x1-64-256-56-b8": (8, 56, 1, 64, 256, 1, 1, 1),
    "conv1x1-512-128-28-b8": (8, 28, 1, 512, 128, 1, 1, 1),
    "conv7x7s2-3-64-224-b8": (8, 224, 7, 3, 64, 2, 1, 1),
    "conv11x11s4-3-64-224-b8": (8, 224, 11, 3, 64, 4, 1, 1),
    "conv3x3s2-64-128-56-b16": (16, 56, 3, 64, 128, 2, 1, 1),
    "conv4x4s2-64-128-32-b64": (64, 32, 4, 64, 128, 2, 1, 1),
    "conv3x3d2-64-28-b16": (16, 28, 3, 64, 64, 1, 2, 1),
    "conv3x3g32-128-28-b16": (16, 28, 3, 128, 128, 1, 1, 32),
    "depthwise3x3-256-28-b16": (16, 28, 3, 256, 256, 1, 1, 256),
    "depthwise3x3s2-128-56-b16": (16, 56, 3, 128, 128, 2, 1, 128),
}


def conv(geometry, results):
    """results: of forward, data, weights. The gradients are asked of the backward operator itself."""
    batch, side, kernel, inputs, outputs, stride, dilation, groups = geometry
    pad = dilation * (kernel - 1) // 2
    # Channels last is what oneDNN likes best here, and what clgrad uses.
    x = torch.randn(batch, inputs, side, side).to(memory_format=torch.channels_last)
    w = torch.randn(outputs, inputs // groups, kernel, kernel).to(memory_format=torch.channels_last)

    def forward():
        return functional.conv2d(x, w, padding=pad, stride=stride, dilation=dilation, groups=groups)
    dy = torch.randn_like(forward())
    mask = ["data" in results, "weights" in results, False]

    def run():  # returns what it computes: a compiler leaves out what nobody asks for
        with torch.no_grad():
            y = forward() if "forward" in results else None
            gradients = torch.ops.aten.convolution_backward(
                dy, x, w, None, [stride] * 2, [pad] * 2, [dilation] * 2, False, [0, 0], groups,
                mask) if any(mask) else None
            return y, gradients
    return compiled(run)


def image(batch, channels, side):
    return torch.randn(batch, channels, side, side).to(memory_format=torch.channels_last)


def with_gradients(function, x):
    """Forward, and the gradients of x and of the function's own parameters."""
    x.requires_grad_()
    dy = torch.randn_like(function(x))
    parameters = [x, *(function.parameters() if isinstance(function, nn.Module) else [])]
    function = compiled(function)

    def run():
        for parameter in parameters:
            parameter.grad = None
        function(x).backward(dy)
    return run


def softmax():
    x, run = torch.randn(4096, 1000), compiled(lambda x: torch.softmax(x, 1))
    return lambda: run(x)


def total(axis):
    x, run = torch.randn(4096, 4096), compiled(lambda x: x.sum(axis))
    return lambda: run(x)


def adam():
    p = nn.Parameter(torch.randn(10_000_000))
    p.grad = torch.randn(10_000_000)
    return compiled(torch.optim.Adam([p], lr=1e-3, fused=compiled is as_is).step)


def training_step(model, x, classes=10, optimizer=None, augment=None):
    label = torch.arange(len(x)) % classes
    optimizer = optimizer or torch.optim.Adam(model.parameters(), lr=1e-3)
    run = compiled(model)

    def step():
        optimizer.zero_grad()
        functional.cross_entropy(run(augment(x) if augment else x), label).backward()
        optimizer.step()
    return step


def digits(batch):
    return torch.rand(batch, 1, 28, 28)


def inference(model, x):
    run = compiled(model.eval())

    def infer():
        with torch.no_grad():
            torch.softmax(run(x), 1)
    return infer


def mlp():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 10))


def deep_mlp(layers):
    hidden = [module for _ in range(layers - 2) for module in (nn.Linear(64, 64), nn.ReLU())]
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), *hidden, nn.Linear(64, 10))


def lenet():
    return nn.Sequential(
        nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64 * 7 * 7, 512), nn.ReLU(), nn.Linear(512, 10))


class Pad(nn.Module):
    """The shortcut without parameters: every other pixel, new channels are zero."""

    def forward(self, x):
        channels = x.shape[1]
        return functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, channels))


class Basic(nn.Module):
    def __init__(self, inputs, outputs, stride, shortcut):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs))
        self.shortcut = shortcut if stride > 1 else nn.Identity()

    def forward(self, x):
        return functional.relu(self.main(x) + self.shortcut(x))


def resnet20():
    layers, channels = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()], 16
    for outputs in 16, 32, 64:
        for i in range(3):
            layers.append(Basic(channels, outputs, 1 + (i == 0 and outputs > 16), Pad()))
            channels = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def resnet18():
    layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for outputs in 64, 128, 256, 512:
        for i in range(2):
            stride = 1 + (i == 0 and outputs > 64)
            shortcut = nn.Sequential(nn.Conv2d(channels, outputs, 1, stride, bias=False),
                                     nn.BatchNorm2d(outputs))
            layers.append(Basic(channels, outputs, stride, shortcut))
            channels = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000))


def vgg11():
    layers, channels = [], 3
    for outputs in 64, "pool", 128, "pool", 256, 256, "pool", 512, 512, "pool", 512, 512, "pool":
        if outputs == "pool":
            layers.append(nn.MaxPool2d(2))
            continue
        layers += [nn.Conv2d(channels, outputs, 3, 1, 1), nn.BatchNorm2d(outputs), nn.ReLU()]
        channels = outputs
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, 10))


def crop_and_flip(x):
    """What the model files for CIFAR do to a batch before the first layer."""
    n, side = len(x), x.shape[-1]
    padded = functional.pad(x, (4, 4, 4, 4))
    rows = torch.randint(0, 9, (n, 1)) + torch.arange(side)
    columns = torch.randint(0, 9, (n, 1)) + torch.arange(side)
    columns = torch.where(torch.rand(n, 1) < 0.5, columns, columns.flip(1))
    picked = padded[torch.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return picked.permute(0, 3, 1, 2)


def photos(model, batch, side):
    return model.to(memory_format=torch.channels_last), image(batch, 3, side)


def photo_step(model, batch, side, classes, augment, lr, weight_decay):
    model, x = photos(model, batch, side)
    optimizer = torch.optim.SGD(model.parameters(), lr, momentum=0.9, nesterov=True, weight_decay=weight_decay)
    return training_step(model, x, classes, optimizer, augment)


class LSTM(nn.Module):
    """A class from the state after the last step."""

    def __init__(self, features, units):
        super().__init__()
        self.lstm, self.fc = nn.LSTM(features, units), nn.Linear(units, 10)

    def forward(self, x):
        return self.fc(self.lstm(x)[0][-1])


def lstm_step(batch, features, units):
    model, x, label = LSTM(features, units), torch.rand(64, batch, features), torch.arange(batch) % 10
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


def conv_flops(geometry):
    batch, side, kernel, inputs, outputs, stride, _, groups = geometry
    return 2 * batch * (-(-side // stride)) ** 2 * kernel * kernel * inputs // groups * outputs


def deep_flops(layers):
    return 2 * 64 * (784 + 64 * (layers - 2) + 10)


def lstm_flops(batch, features, units):
    return 2 * 64 * batch * 4 * units * (features + units)


PASSES = {"": ["forward"], "-data": ["data"], "-weights": ["weights"], "-train": ["forward", "data", "weights"]}
# FLOPs of products and convolutions for one sample, forward
MLP = 2 * (784 * 512 + 512 * 10)
LENET = 2 * (28 * 28 * 25 * 32 + 14 * 14 * 25 * 32 * 64 + 3136 * 512 + 5120)
IMAGES, MATRIX = 4 * 16 * 64 * 112 * 112, 4 * 4096 * 4096
# per sample, forward, as `cltrain summary` counts them
RESNET20, VGG11, RESNET18 = 81.1e6, 305.8e6, 3.628e9

# case: (what to run, operations, bytes)
CASES = {
    "copy": (copy, 0, 2 * 4 << 24),
    "matmul-512": (lambda: matmul(512), 2 * 512 ** 3, 0),
    "matmul-1024": (lambda: matmul(1024), 2 * 1024 ** 3, 0),
    "matmul-2048": (lambda: matmul(2048), 2 * 2048 ** 3, 0),
    "max-pool2d-64-112-b16": (lambda: with_gradients(lambda x: functional.max_pool2d(x, 2), image(16, 64, 112)),
                              0, 3 * IMAGES + IMAGES // 2),
    "batch-norm-64-56-b32": (lambda: with_gradients(nn.BatchNorm2d(64), image(32, 64, 56)), 0,
                             8 * 4 * 32 * 64 * 56 * 56),
    "softmax-4096x1000": (softmax, 0, 2 * 4 * 4096 * 1000),
    "sum-rows-4096": (lambda: total(1), 0, MATRIX),
    "sum-columns-4096": (lambda: total(0), 0, MATRIX),
    "adam-10m": (adam, 0, 7 * 4 * 10_000_000),
    "step-mlp-b128": (lambda: training_step(mlp(), digits(128)), 3 * 128 * MLP, 0),
    "step-mlp-l100-b128": (lambda: training_step(deep_mlp(100), digits(128)), 3 * 128 * deep_flops(100), 0),
    "step-mlp-l1000-b128": (lambda: training_step(deep_mlp(1000), digits(128)), 3 * 128 * deep_flops(1000), 0),
    "step-lenet-b64": (lambda: training_step(lenet(), digits(64)), 3 * 64 * LENET, 0),
    "step-resnet20-b128": (lambda: photo_step(resnet20(), 128, 32, 10, crop_and_flip, 0.1, 1e-4),
                           3 * 128 * RESNET20, 0),
    "step-vgg11-cifar-b64": (lambda: photo_step(vgg11(), 64, 32, 10, crop_and_flip, 0.05, 5e-4),
                             3 * 64 * VGG11, 0),
    "step-resnet18-224-b8": (lambda: photo_step(resnet18(), 8, 224, 1000, None, 0.1, 1e-4), 3 * 8 * RESNET18, 0),
    "step-lstm-b32": (lambda: lstm_step(32, 64, 128), 3 * lstm_flops(32, 64, 128), 0),
    "step-lstm-b64-t64-h256": (lambda: lstm_step(64, 256, 256), 3 * lstm_flops(64, 256, 256), 0),
    "step-embedding-10k": (lambda: embedding_step(10_000), 16 * 4096 * 32, 0),
    "step-embedding-1m": (lambda: embedding_step(1_000_000), 16 * 4096 * 32, 0),
}
for batch in 1, 64:
    CASES |= {
        f"infer-mlp-b{batch}": (lambda n=batch: inference(mlp(), digits(n)), batch * MLP, 0),
        f"infer-lenet-b{batch}": (lambda n=batch: inference(lenet(), digits(n)), batch * LENET, 0),
        f"infer-resnet20-b{batch}": (lambda n=batch: inference(*photos(resnet20(), n, 32)), batch * RESNET20, 0),
        f"infer-vgg11-cifar-b{batch}": (lambda n=batch: inference(*photos(vgg11(), n, 32)), batch * VGG11, 0),
        f"infer-lstm-b{batch}-t64-h256": (lambda n=batch: inference(LSTM(256, 256), torch.rand(64, n, 256)),
                                          lstm_flops(batch, 256, 256), 0),
    }
for batch in 1, 8:
    CASES[f"infer-resnet18-224-b{batch}"] = (lambda n=batch: inference(*photos(resnet18(), n, 224)),
                                             batch * RESNET18, 0)
for name, sizes in CONVOLUTIONS.items():
    for suffix, wanted in PASSES.items():
        CASES[name + suffix] = (lambda g=sizes, w=wanted: conv(g, w), len(wanted) * conv_flops(sizes), 0)


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


def resident_bytes(key):
    with open("/proc/self/status") as status:
        return next(1024 * int(line.split()[1]) for line in status if line.startswith(key))


def start_of_growth():
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the high-water mark is what there is now
    return resident_bytes("VmRSS:")


def main():
    global compiled
    parser = argparse.ArgumentParser(description="The cases of cltrain bench in PyTorch.")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compile", action="store_true", help="torch.compile instead of eager mode")
    parser.add_argument("--list", action="store_true", help="print the names of the cases")
    parser.add_argument("cases", nargs="*", metavar="CASE")
    options = parser.parse_args()
    if options.list:
        print(*CASES, sep="\n")
        return
    if options.compile:
        compiled = torch.compile
    unknown = set(options.cases) - set(CASES)
    if unknown:
        parser.error(f"unknown case {unknown.pop()}; there are: {' '.join(CASES)}")
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    for case in options.cases or CASES:
        build, flops, moved = CASES[case]
        before = start_of_growth()
        seconds = median_seconds(build())
        growth = resident_bytes("VmHWM:") - before
        print(json.dumps({"case": case, "device": f"PyTorch {torch.__version__}, {options.threads} threads",
                          "median_ms": round(1e3 * seconds, 4), "gflops": round(flops / seconds / 1e9, 2),
                          "gb_per_s": round(moved / seconds / 1e9, 2), "memory_bytes": growth}), flush=True)


main()
