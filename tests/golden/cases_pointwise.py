"""Golden cases of pointwise operations, and of activations that are composed of several."""
import torch
import torch.nn.functional as F

from cases import Case, Input


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
