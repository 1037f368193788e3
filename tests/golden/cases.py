"""Describing golden cases: inputs, the shared generator of their numbers, and running PyTorch on them.

A case is an operation's name, a function on torch tensors, its inputs, and attributes that both the
function and the builder in C get. Tensors have clgrad's layout (NHWC, HWIO): functions permute. What
is stored is y, the gradient of sum(weights y) with respect to each differentiable input, and what
variables became.
"""
import math
import zlib

import numpy
import torch


def uniform(count, low, high, stream):
    """A linear congruential generator (Knuth's MMIX constants); op_check_random in C."""
    mask = (1 << 64) - 1
    state = (stream * 0x9E3779B97F4A7C15 + 0x1234567) & mask
    out = []
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) & mask
        out.append(low + (high - low) * ((state >> 33) / 2147483648.0))
    return numpy.array(out, "float64").astype("float32")


class Input:
    """shape and range, or explicit values. With classes: i32 numbers 0 .. classes - 1, no gradient."""

    def __init__(self, *shape, low=-2.0, high=2.0, values=None, classes=0, gradient=True, variable=False):
        self.shape = list(shape) if values is None else list(numpy.shape(values))
        self.low, self.high, self.values, self.classes = low, high, values, classes
        self.gradient = gradient and not classes
        self.variable = variable

    def numbers(self, stream):
        if self.values is not None:
            return numpy.array(self.values, "float32")
        count = int(numpy.prod(self.shape))
        if self.classes:
            drawn = uniform(count, 0, self.classes, stream).astype("int32")
            return numpy.minimum(drawn, self.classes - 1).reshape(self.shape)
        return uniform(count, self.low, self.high, stream).reshape(self.shape)

    def describe(self):
        d = {"shape": self.shape}
        if self.values is not None:
            d["values"] = numpy.array(self.values, "float32").ravel().tolist()
        if self.classes:
            d["classes"] = self.classes
        elif self.values is None:
            d["low"], d["high"] = self.low, self.high
        if not self.gradient:
            d["gradient"] = False
        if self.variable:
            d["variable"] = True
        return d


def index(*shape, classes):
    return Input(*shape, classes=classes)


class Case:
    """tolerance: of values and of gradients, if looser than 1e-5 and 1e-4; then `why` says why."""

    def __init__(self, op, function, inputs, tolerance=None, why=None, mode="inference", label=None,
                 value_only=False, **attributes):
        self.op, self.function, self.inputs, self.attributes = op, function, inputs, attributes
        self.mode, self.value_only = mode, value_only
        assert (tolerance is None) == (why is None)
        self.tolerance, self.why = tolerance, why
        parts = [label] if label else ["x".join(map(str, i.shape)) or "scalar" for i in inputs]
        parts += [f"{k}={v}".replace(" ", "") for k, v in attributes.items()]
        self.name = " ".join([op] + parts)

    def describe(self, stream):
        d = {"name": self.name, "op": self.op, "stream": stream,
             "inputs": [i.describe() for i in self.inputs]}
        if self.attributes:
            d["attributes"] = {k: str(v) if v in (math.inf, -math.inf) else v for k, v in self.attributes.items()}
        if self.mode != "inference":
            d["mode"] = self.mode
        if self.value_only:
            d["value_only"] = True
        if self.tolerance:
            d["tolerance"], d["why"] = list(self.tolerance), self.why
        return d

    def run(self):
        """Returns the description and the arrays {name/y, name/d0 ...}."""
        stream = zlib.crc32(self.name.encode()) % 1000000 * 16
        x = []
        for i, spec in enumerate(self.inputs):
            t = torch.tensor(spec.numbers(stream + i))
            t = t.long() if spec.classes else t.double()
            x.append(t.requires_grad_() if spec.gradient and not self.value_only else t)
        y = self.function(*x, **self.attributes)
        after = {}
        if isinstance(y, tuple):  # what variables became: {index: value}
            y, after = y
        arrays = {f"{self.name}/y": y.detach().double().numpy()}
        for i, value in after.items():
            arrays[f"{self.name}/after{i}"] = value.detach().numpy()
        if not self.value_only:
            weights = torch.tensor(uniform(y.numel(), -1, 1, stream + 15)).double().reshape(y.shape)
            (y * weights).sum().backward()
            for i, t in enumerate(x):
                if self.inputs[i].gradient:
                    grad = t.grad if t.grad is not None else torch.zeros_like(t)
                    arrays[f"{self.name}/d{i}"] = grad.numpy()
        return self.describe(stream), arrays


def run_all(cases):
    descriptions, arrays = [], {}
    for case in cases:
        description, results = case.run()
        descriptions.append(description)
        arrays.update(results)
    return descriptions, arrays
