"""Golden cases of composed activations, with the gradients of what they learn."""
import torch
import torch.nn.functional as F

from cases import Case, Input

HUGE = [1e4, -1e4]


def brelu(x):
    odd = torch.arange(x.shape[-1]) % 2
    return torch.where(odd == 1, -F.relu(-x), F.relu(x))


def apl(x, a, b):
    return F.relu(x) + sum(a[s] * F.relu(b[s] - x) for s in range(a.shape[0]))


def soft_exponential(x, a):
    """For parameters of one sign."""
    return torch.expm1(a * x) / a + a if a[0] > 0 else -torch.log1p(-a * (x + a)) / a


def maxout(x, pieces):
    return x.unflatten(-1, (pieces, -1)).amax(-2)


def activations():
    yield Case("brelu", brelu, [Input(3, 7)])
    yield Case("brelu", brelu, [Input(values=[HUGE + [0, 0]])], label="points")
    yield Case("prelu", F.prelu, [Input(5, 3), Input(3)])
    yield Case("prelu", F.prelu, [Input(7, 2), Input(1)])
    yield Case("prelu", F.prelu, [Input(values=[HUGE + [0]]), Input(values=[0.25])], label="points")
    yield Case("rrelu", lambda x, lower, upper: F.rrelu(x, lower, upper, training=False), [Input(5, 7)], lower=0.1,
               upper=0.4)
    yield Case("rrelu", lambda x: F.rrelu(x, training=False), [Input(values=HUGE + [0])], label="points")
    yield Case("swish_learned", lambda x, b: x * torch.sigmoid(b * x), [Input(5, 3), Input(3)])
    yield Case("swish_learned", lambda x, b: x * torch.sigmoid(b * x), [Input(values=HUGE + [0]), Input(values=[1.5])],
               label="points")
    yield Case("apl", apl, [Input(5, 7), Input(2, 7), Input(2, 7)])
    yield Case("apl", apl, [Input(2, 3, 3), Input(3, 1), Input(3, 1)])
    yield Case("soft_exponential", soft_exponential, [Input(5, 3), Input(3, low=0.01, high=1.5)], label="exponential")
    yield Case("soft_exponential", soft_exponential, [Input(5, 3, low=0, high=2), Input(3, low=-0.7, high=-0.01)],
               label="logarithm")
    for pieces in (2, 3):
        yield Case("maxout", maxout, [Input(5, 4 * pieces)], pieces=pieces)
    yield Case("maxout", lambda x, pieces: x.unflatten(-1, (pieces, -1)).max(-2).values,
               [Input(values=[[1, 2, 1, 3], [0, 5, 0, 5]])], label="ties", pieces=2)
