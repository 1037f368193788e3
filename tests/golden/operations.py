"""The golden cases of operations: what PyTorch computes for each, in clgrad's layout.

A row of the table of operations and compositions without a case here fails the C suite, unless
operations.c lists it as exempt and says why.
"""
import math

import torch
import torch.nn.functional as F

from cases import Case, Input, index, run_all

# ---- pointwise ----

# Unary: name: (function, low, high, kinks and other points of interest)
HUGE = [1e4, -1e4]
UNARY = {
    "neg": (torch.neg, -3, 3, [0]),
    "abs": (torch.abs, -3, 3, [0] + HUGE),
    "square": (torch.square, -3, 3, [0] + HUGE),
    "sqrt": (torch.sqrt, 0.1, 4, [1e4, 1e-4]),
    "rsqrt": (torch.rsqrt, 0.1, 4, [1e4, 1e-2]),
    "reciprocal": (torch.reciprocal, 0.25, 3, HUGE),
    "exp": (torch.exp, -3, 3, [0, -1e4]),
    "log": (torch.log, 0.1, 4, [1, 1e4]),
    "log1p": (torch.log1p, -0.5, 4, [0, 1e4]),
    "expm1": (torch.expm1, -3, 3, [0, -1e4]),
    "sin": (torch.sin, -3, 3, [0]),
    "cos": (torch.cos, -3, 3, [0]),
    "erf": (torch.erf, -3, 3, [0] + HUGE),
    "identity": (lambda x: x * 1, -3, 3, [0] + HUGE),
    "step": (lambda x: torch.heaviside(x.detach(), torch.ones((), dtype=x.dtype)) + 0 * x, -3, 3, [0] + HUGE),
    "floor": (torch.floor, -3, 3, [0, 1, -1, -0.5] + HUGE),
    "sign": (torch.sign, -3, 3, [0] + HUGE),
    "sigmoid": (torch.sigmoid, -6, 6, [0] + HUGE),
    "tanh": (torch.tanh, -4, 4, [0] + HUGE),
    "softsign": (F.softsign, -4, 4, [0] + HUGE),
    "relu": (F.relu, -3, 3, [0] + HUGE),
    "relu6": (F.relu6, -3, 9, [0, 6] + HUGE),
    "hardsigmoid": (F.hardsigmoid, -5, 5, [0, 3, -3] + HUGE),
    "hardswish": (F.hardswish, -5, 5, [0, 3, -3] + HUGE),
    "hardtanh": (F.hardtanh, -3, 3, [0, 1, -1] + HUGE),
    "selu": (F.selu, -3, 3, [0] + HUGE),
    "silu": (F.silu, -6, 6, [0] + HUGE),
    "gelu": (F.gelu, -4, 4, [0] + HUGE),
    "gelu_tanh": (lambda x: F.gelu(x, approximate="tanh"), -4, 4, [0] + HUGE),
    "mish": (F.mish, -5, 5, [0] + HUGE),
    "logsigmoid": (F.logsigmoid, -5, 5, [0] + HUGE),
    # no twin of that name; the formula in torch's operations
    "sqnl": (lambda x: torch.where(x.abs() > 2, torch.sign(x), x - x * x.abs() / 4), -3, 3, [0, 1] + HUGE),
    "bent_identity": (lambda x: (torch.sqrt(x * x + 1) - 1) / 2 + x, -3, 3, [0] + HUGE),
}
# With parameters: name: (function, low, high, points, values of the parameters)
PARAMETRIC = {
    "leaky_relu": (lambda x, a: F.leaky_relu(x, a), -3, 3, [0] + HUGE, [{"a": 0.01}, {"a": 0.3}]),
    "elu": (lambda x, a: F.elu(x, a), -3, 3, [0] + HUGE, [{"a": 1.0}, {"a": 0.7}]),
    "celu": (lambda x, a: F.celu(x, a), -3, 3, [0] + HUGE, [{"a": 1.0}, {"a": 0.7}]),
    "swish": (lambda x, a: x * torch.sigmoid(a * x), -4, 4, [0] + HUGE, [{"a": 1.0}, {"a": 1.7}]),
    "softplus": (lambda x, a: F.softplus(x, a), -5, 5, [0] + HUGE, [{"a": 1.0}, {"a": 2.0}]),
    "soft_clipping": (lambda x, a: (F.softplus(a * x) - F.softplus(a * (x - 1))) / a, -1, 2, [0, 1],
                      [{"a": 50.0}, {"a": 5.0}]),
    "clamp": (lambda x, a, b: torch.clamp(x, a, b), -3, 3, [-1, 2] + HUGE, [{"a": -1.0, "b": 2.0}]),
}
BINARY = {
    "add": (torch.add, -3, 3), "sub": (torch.sub, -3, 3), "mul": (torch.mul, -3, 3),
    "div": (torch.div, 0.25, 3), "pow": (torch.pow, 0.25, 3),
    "minimum": (torch.minimum, -3, 3), "maximum": (torch.maximum, -3, 3),
}
COMPARISONS = {"equal": torch.eq, "not_equal": torch.ne, "less": torch.lt, "less_equal": torch.le,
               "greater": torch.gt, "greater_equal": torch.ge}


def pointwise():
    for name, (f, low, high, points) in UNARY.items():
        yield Case(name, f, [Input(3, 7, low=low, high=high)])
        yield Case(name, f, [Input(values=points)], label="points")
    for name, (f, low, high, points, parameters) in PARAMETRIC.items():
        for p in parameters:
            yield Case(name, f, [Input(5, 3, low=low, high=high)], **p)
            yield Case(name, f, [Input(values=points)], label="points", **p)
    for name, (f, low, high) in BINARY.items():
        for a, b in (((7,), (7,)), ((3, 5), (5,)), ((3, 1, 2), (5, 1))):
            yield Case(name, f, [Input(*a, low=low, high=high), Input(*b, low=low, high=high)])
    for name in ("minimum", "maximum"):
        yield Case(name, BINARY[name][0], [Input(values=[1, 2, 3, 0]), Input(values=[1, 3, 2, -0.0])],
                   label="ties")
    for name, f in COMPARISONS.items():
        yield Case(name, lambda x, y, f=f: f(x, y).double(),
                   [Input(values=[[1, 2, 3], [0, -1, 5]]), Input(values=[1, 3, 2])], label="", value_only=True)
    yield Case("where", lambda x, y, z: torch.where(x != 0, y, z),
               [Input(values=[[1, 0, -2], [0, 0, 1]], gradient=False), Input(2, 3), Input(3)])


# ---- reductions; axes is a list, [] means all ----

def reduced(f):
    return lambda x, axes, keep=False: f(x, axes or list(range(x.ndim)), keep)


REDUCTIONS = {
    "sum": reduced(lambda x, axes, keep: x.sum(axes, keepdim=keep)),
    "mean": reduced(lambda x, axes, keep: x.mean(axes, keepdim=keep)),
    "max": reduced(lambda x, axes, keep: x.amax(axes, keepdim=keep)),
}


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
    yield Case("norm", torch.linalg.vector_norm, [Input(5, 7)])


# ---- structure ----

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


# ---- products, convolution, pooling: images NHWC, weights HWIO ----

def nchw(x):
    return x.permute(0, 3, 1, 2)


def nhwc(x):
    return x.permute(0, 2, 3, 1)


def matmul(a, b, transpose_a=False, transpose_b=False):
    return torch.matmul(a.mT if transpose_a else a, b.mT if transpose_b else b)


def conv2d(x, w, stride=(1, 1), pad=(0, 0), dilation=(1, 1), groups=1, same=False, pad_mode="constant"):
    x, w = nchw(x), w.permute(3, 2, 0, 1)
    if pad_mode != "constant":
        x, pad = F.pad(x, [pad[1], pad[1], pad[0], pad[0]], pad_mode), (0, 0)
    if same:  # the odd pixel goes to the end
        total = [max(0, (math.ceil(n / s) - 1) * s + d * (k - 1) + 1 - n)
                 for n, s, d, k in zip(x.shape[2:], stride, dilation, w.shape[2:])]
        x = F.pad(x, [total[1] // 2, total[1] - total[1] // 2, total[0] // 2, total[0] - total[0] // 2])
    return nhwc(F.conv2d(x, w, stride=stride, padding=pad, dilation=dilation, groups=groups))


def conv_transpose2d(x, w, stride=(1, 1), pad=(0, 0), output_padding=(0, 0), dilation=(1, 1), groups=1):
    return nhwc(F.conv_transpose2d(nchw(x), w.permute(3, 2, 0, 1), None, stride, pad, output_padding, groups,
                                   dilation))


def affine_warp(x, matrix, size, border):
    """torch's matrices have x before y and count in half images."""
    (ih, iw), (oh, ow) = x.shape[1:3], size
    m = matrix.detach()
    theta = torch.stack([torch.stack([m[:, 1, 1] * ow / iw, m[:, 1, 0] * oh / iw, m[:, 1, 2] * 2 / iw], 1),
                         torch.stack([m[:, 0, 1] * ow / ih, m[:, 0, 0] * oh / ih, m[:, 0, 2] * 2 / ih], 1)], 1)
    grid = F.affine_grid(theta, (x.shape[0], x.shape[3], oh, ow), align_corners=False)
    return nhwc(F.grid_sample(nchw(x), grid, "bilinear", border, align_corners=False))


def max_pool2d(x, size, stride=None, pad=(0, 0)):
    return nhwc(F.max_pool2d(nchw(x), size, stride, pad))


def average_pool2d(x, size, stride=None, pad=(0, 0)):
    return nhwc(F.avg_pool2d(nchw(x), size, stride, pad))


def heavy():
    for m, n, k in ((1, 1, 1), (7, 5, 3), (33, 17, 41)):
        yield Case("matmul", matmul, [Input(m, k), Input(k, n)])
        yield Case("matmul", matmul, [Input(k, m), Input(n, k)], transpose_a=True, transpose_b=True)
    yield Case("matmul", matmul, [Input(2, 3, 5), Input(2, 7, 5)], transpose_b=True)
    yield Case("matmul", matmul, [Input(4, 3, 5), Input(5, 7)])
    yield Case("conv2d", conv2d, [Input(2, 5, 7, 3), Input(3, 3, 3, 4)])
    yield Case("conv2d", conv2d, [Input(1, 7, 7, 1), Input(5, 3, 1, 17)], pad=[2, 1])
    yield Case("conv2d", conv2d, [Input(2, 9, 7, 5), Input(3, 2, 5, 3)], stride=[2, 3], dilation=[2, 1])
    yield Case("conv2d", conv2d, [Input(2, 7, 6, 4), Input(3, 3, 2, 6)], groups=2, same=True, stride=[2, 2])
    yield Case("conv2d", conv2d, [Input(2, 6, 5, 5), Input(3, 3, 1, 5)], groups=5, pad=[1, 1])
    yield Case("conv2d", conv2d, [Input(2, 3, 5, 19), Input(1, 1, 19, 33)])
    yield Case("conv2d", conv2d, [Input(2, 5, 4, 3), Input(3, 3, 3, 5)], pad=[1, 1], pad_mode="replicate")
    yield Case("conv_transpose2d", conv_transpose2d, [Input(2, 5, 3, 4), Input(3, 3, 7, 4)])
    yield Case("conv_transpose2d", conv_transpose2d, [Input(1, 3, 4, 6), Input(3, 2, 5, 6)], stride=[2, 3],
               pad=[1, 0], output_padding=[1, 2], groups=2)
    yield Case("conv_transpose2d", conv_transpose2d, [Input(2, 3, 3, 5), Input(3, 3, 3, 5)], dilation=[2, 1],
               pad=[1, 1])
    for border in ("zeros", "border"):
        yield Case("affine_warp", affine_warp, [Input(3, 5, 7, 2), Input(3, 2, 3, gradient=False)], size=[6, 5],
                   border=border)
    for name, f in (("max_pool2d", max_pool2d), ("average_pool2d", average_pool2d)):
        yield Case(name, f, [Input(2, 6, 4, 3)], size=[2, 2])
        yield Case(name, f, [Input(1, 7, 9, 5)], size=[3, 3], stride=[2, 2], pad=[1, 1])
        yield Case(name, f, [Input(2, 7, 5, 17)], size=[3, 2], stride=[1, 2])
    yield Case("max_pool2d", max_pool2d, [Input(values=[[[[1], [1], [0]], [[1], [1], [0]]]])], label="ties",
               size=[2, 2], stride=[1, 1])
    yield Case("global_average_pool2d", lambda x: x.mean((1, 2)), [Input(2, 3, 5, 7)])


# ---- normalization and losses ----

def channels_second(x):
    return x.reshape(-1, x.shape[-1])


def batch_norm_training(x, scale, shift, mean, variance, momentum, epsilon):
    mean, variance = mean.detach().clone(), variance.detach().clone()
    y = F.batch_norm(channels_second(x), mean, variance, scale, shift, True, momentum, epsilon)
    return y.reshape(x.shape), {3: mean, 4: variance}


def batch_norm_inference(x, scale, shift, mean, variance, epsilon):
    return F.batch_norm(channels_second(x), mean, variance, scale, shift, False, 0, epsilon).reshape(x.shape)


def statistics(channels):
    return [Input(channels, low=-1, high=1, variable=True, gradient=False),
            Input(channels, low=0.5, high=2, variable=True, gradient=False)]


def normalization():
    for shape in ((7, 3), (2, 3, 5, 4)):
        c = shape[-1]
        affine = [Input(*shape), Input(c), Input(c)] + statistics(c)
        yield Case("batch_norm", batch_norm_training, affine, mode="training", momentum=0.3, epsilon=1e-3)
        yield Case("batch_norm", batch_norm_inference, affine, label=f"inference {shape}", epsilon=1e-5)


def layer_norm(x, *affine, axes, epsilon):
    return F.layer_norm(x, x.shape[-axes:], *affine, eps=epsilon)


def group_norm(x, *affine, groups, epsilon):
    y = F.group_norm(x.movedim(-1, 1), groups, *affine, eps=epsilon)
    return y.movedim(1, -1)


def sample_norms():
    """Of each sample on its own; epsilons that are not the defaults, so that none is ignored."""
    yield Case("layer_norm", layer_norm, [Input(5, 7), Input(7), Input(7)], axes=1, epsilon=1e-2)
    yield Case("layer_norm", layer_norm, [Input(2, 3, 5), Input(3, 5), Input(3, 5)], axes=2, epsilon=1e-5)
    yield Case("layer_norm", layer_norm, [Input(3, 65)], axes=1, epsilon=1e-5)
    for shape, axes in (((5, 7), 1), ((2, 3, 5), 2)):
        yield Case("rms_norm", lambda x, scale, axes, epsilon: F.rms_norm(x, x.shape[-axes:], scale, epsilon),
                   [Input(*shape), Input(*shape[-axes:])], axes=axes, epsilon=1e-2)
    yield Case("group_norm", group_norm, [Input(2, 3, 5, 6), Input(6), Input(6)], groups=3, epsilon=1e-2)
    yield Case("group_norm", group_norm, [Input(3, 7, 4), Input(4), Input(4)], groups=1, epsilon=1e-5)
    yield Case("instance_norm", lambda x, w, b, epsilon: F.instance_norm(x.movedim(-1, 1), weight=w, bias=b,
                                                                         eps=epsilon).movedim(1, -1),
               [Input(2, 5, 3, 3), Input(3), Input(3)], epsilon=1e-2)
    for size, shape in ((5, (2, 3, 5, 7)), (3, (1, 2, 2, 2)), (2, (2, 1, 3, 9))):
        yield Case("local_response_norm",
                   lambda x, size, alpha, beta, k: nhwc(F.local_response_norm(nchw(x), size, alpha, beta, k)),
                   [Input(*shape)], size=size, alpha=0.3, beta=0.6, k=1.5)
    yield Case("window_sum", lambda x, before, after: F.pad(x, [before, after]).unfold(-1, before + after + 1, 1).sum(-1),
               [Input(3, 7)], before=2, after=1)


def losses():
    yield Case("softmax_cross_entropy", lambda x, t: F.cross_entropy(x, t), [Input(7, 5), index(7, classes=5)])
    yield Case("softmax_cross_entropy", lambda x, t: F.cross_entropy(x, t),
               [Input(3, 1000, low=-30, high=30), index(3, classes=1000)])
    yield Case("normalize", lambda x, offset, scale: (x - offset) * scale, [Input(5, 3), Input(3), Input(3)])
    yield Case("mse", lambda x, t: F.mse_loss(x, t), [Input(5, 7), Input(5, 7)])
    yield Case("binary_cross_entropy_logits", lambda x, t: F.binary_cross_entropy_with_logits(x, t),
               [Input(5, 7, low=-6, high=6), Input(5, 7, low=0, high=1)])
    yield Case("binary_cross_entropy_logits", lambda x, t: F.binary_cross_entropy_with_logits(x, t),
               [Input(values=[0, 1e4, -1e4]), Input(values=[0, 0.25, 1], gradient=False)], label="points")
    yield Case("accuracy", lambda x, t: (x.argmax(1) == t).double().mean(), [Input(9, 3), index(9, classes=3)],
               value_only=True)


def generate():
    cases = []
    for family in (pointwise, reductions, structure, heavy, normalization, sample_norms, losses):
        cases += family()
    return run_all(cases)
