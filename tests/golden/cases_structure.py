"""Golden cases of reductions and of what moves elements."""
import math

import torch
import torch.nn.functional as F

from cases import Case, Input, index
from layout import nchw, nhwc


def reduced(f):
    return lambda x, axes, keep=False: f(x, axes or list(range(x.ndim)), keep)


REDUCTIONS = {
    "sum": reduced(lambda x, axes, keep: x.sum(axes, keepdim=keep)),
    "mean": reduced(lambda x, axes, keep: x.mean(axes, keepdim=keep)),
    "max": reduced(lambda x, axes, keep: x.amax(axes, keepdim=keep)),
    "min": reduced(lambda x, axes, keep: x.amin(axes, keepdim=keep)),
    "log_sum_exp": reduced(lambda x, axes, keep: x.logsumexp(axes, keepdim=keep)),
}


def variance(x, axes, unbiased):
    return x.var(axes, unbiased=unbiased)


def standard_deviation(x, axes, unbiased):
    return x.std(axes, unbiased=unbiased)


def vector_norm(x, axes, p):
    return torch.linalg.vector_norm(x, p, axes)


def reductions():
    for name, f in REDUCTIONS.items():
        yield Case(name, f, [Input(7)], axes=[])
        yield Case(name, f, [Input(37, 5)], axes=[0])
        yield Case(name, f, [Input(5, 37)], axes=[1], keep=True)
        yield Case(name, f, [Input(3, 7, 5)], axes=[0, 2])
    yield Case("max", REDUCTIONS["max"], [Input(values=[[1, 3, 3], [2, 2, 2]])], label="ties", axes=[1])
    for axis in (0, -1):
        yield Case("argmax", lambda x, axis: torch.argmax(x, axis), [Input(5, 7)], value_only=True, axis=axis)
        yield Case("softmax", lambda x, axis: torch.softmax(x, axis), [Input(5, 7)], axis=axis)
        yield Case("log_softmax", lambda x, axis: torch.log_softmax(x, axis), [Input(5, 7)], axis=axis)
    yield Case("argmax", lambda x, axis: torch.tensor([1, 0]), [Input(values=[[1, 3, 3], [2, 2, 2]])],
               label="ties", value_only=True, axis=1)
    yield Case("softmax", lambda x, axis: torch.softmax(x, axis), [Input(2, 3, low=-90, high=90)],
               label="far", axis=1)
    yield Case("argmin", lambda x, axis: torch.argmin(x, axis), [Input(5, 7)], value_only=True, axis=-1)
    for unbiased in (False, True):
        yield Case("variance", variance, [Input(5, 7)], axes=[1], unbiased=unbiased)
        yield Case("variance", variance, [Input(3, 7, 5, low=98, high=102)], axes=[0, 2], unbiased=unbiased)
        yield Case("standard_deviation", standard_deviation, [Input(5, 7)], axes=[0], unbiased=unbiased)
    for p in (1, 2, math.inf, -math.inf):
        yield Case("vector_norm", vector_norm, [Input(5, 7)], axes=[0], p=p)
        yield Case("vector_norm", vector_norm, [Input(values=[[0, 0, 0], [0, 3, -4]])], label="points", axes=[1], p=p)
    yield Case("norm", torch.linalg.vector_norm, [Input(5, 7)])


def slice_axes(x, begin, count, step):
    for axis, (b, c, s) in enumerate(zip(begin, count, step)):
        x = x.index_select(axis, torch.arange(b, b + c * s, s))
    return x


def pad_axes(x, before, after, pad_mode, value=0.0):
    """Of images: torch pads the last axes."""
    widths = [before[2], after[2], before[1], after[1]]
    value = value if pad_mode == "constant" else None
    return nhwc(F.pad(nchw(x), widths, pad_mode, value))


def pad(x, axis, before, after):
    widths = [0, 0] * (x.ndim - 1 - axis) + [before, after]
    return F.pad(x, widths)


def structure():
    yield Case("reshape", lambda x, shape: x.reshape(shape), [Input(3, 4, 5)], shape=[6, 10])
    yield Case("flatten", lambda x: x.flatten(1), [Input(3, 4, 5)])
    yield Case("transpose", lambda x, order: x.permute(order), [Input(3, 4, 5)], order=[2, 0, 1])
    yield Case("transpose", lambda x, order: x.permute(order), [Input(7, 3)], order=[1, 0])
    yield Case("broadcast", lambda x, shape: x.broadcast_to(shape), [Input(3, 1)], shape=[2, 3, 5])
    yield Case("slice", lambda x, axis, begin, count: x.narrow(axis, begin, count), [Input(3, 7)],
               axis=1, begin=2, count=4)
    yield Case("slice", lambda x, axis, begin, count: x.narrow(axis, begin, count), [Input(7, 3)],
               axis=0, begin=6, count=1)
    for axis in (0, 1):
        yield Case("concat", lambda x, y, axis: torch.cat([x, y], axis), [Input(3, 5), Input(3, 5)], axis=axis)
    yield Case("concat", lambda x, y, z, axis: torch.cat([x, y, z], axis),
               [Input(2, 3, 1), Input(2, 1, 1), Input(2, 7, 1)], axis=1)
    yield Case("pad", pad, [Input(3, 5)], axis=1, before=2, after=1)
    yield Case("pad", pad, [Input(3, 5, 2)], axis=0, before=0, after=4)
    yield Case("pad_axes", pad_axes, [Input(2, 3, 5, 2)], before=[0, 1, 2, 0], after=[0, 2, 0, 0],
               pad_mode="constant", value=1.5)
    for mode in ("replicate", "reflect", "circular"):
        yield Case("pad_axes", pad_axes, [Input(2, 3, 5, 2)], before=[0, 1, 2, 0], after=[0, 2, 3, 0], pad_mode=mode)
    yield Case("slice_axes", slice_axes, [Input(7, 5, 3)], begin=[1, 0, 2], count=[3, 2, 1], step=[2, 3, 1])
    yield Case("flip", lambda x, axes: x.flip(axes), [Input(3, 5, 2)], axes=[0, 2])
    yield Case("stack", lambda x, y, z, axis: torch.stack([x, y, z], axis), [Input(3, 5)] * 3, axis=1)
    yield Case("stack", lambda x, y, axis: torch.stack([x, y], axis), [Input(7)] * 2, axis=0)
    yield Case("gather", lambda x, i: x[i], [Input(7, 3), index(5, classes=7)])
    yield Case("gather", lambda x, i: x[i], [Input(5, 2, 3), index(3, 11, classes=5)])
    yield Case("scatter_add", lambda x, i, rows: x.index_add(0, i, rows), [Input(7, 3), index(9, classes=7), Input(9, 3)])
    yield Case("take_along_axis", lambda x, i, axis: torch.gather(x, axis, i),
               [Input(3, 5, 2), index(3, 4, 2, classes=5)], axis=1)
    yield Case("one_hot", lambda x, classes: F.one_hot(x, classes).double(), [index(7, classes=5)],
               value_only=True, classes=5)
    yield Case("iota", lambda x, axis: torch.arange(x.shape[axis]).reshape(-1, 1).expand(x.shape),
               [Input(5, 3)], value_only=True, axis=0)
    yield Case("full", lambda x, value: torch.full_like(x, value), [Input(5, 3)], value_only=True, value=1.5)
    yield Case("stop_gradient", lambda x: x * x.detach(), [Input(7)])
