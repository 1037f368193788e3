"""Golden cases of losses with their options, which are attributes of the same names in losses.h.

`weights` says that the third input has the weights of the classes. Logits have the classes last,
torch has them second.
"""
import torch
import torch.nn.functional as F

from cases import Case, Input, index


def named(sum):
    return "sum" if sum else "mean"


def regression(f):
    def run(x, t, sum=False, **options):
        return f(x, t, reduction=named(sum), **options)
    return run


def cross_entropy(x, t, weight=None, weights=False, sum=False, label_smoothing=0.0, ignore_index=-100):
    soft = t.ndim == x.ndim
    return F.cross_entropy(x.movedim(-1, 1), t.movedim(-1, 1) if soft else t, weight, reduction=named(sum),
                           label_smoothing=label_smoothing, ignore_index=ignore_index)


def binary(f):
    return lambda x, t, weight=None, weights=False, sum=False: f(x, t, weight, reduction=named(sum))


def of_margins(f):
    return lambda x, t, sum=False: f(t * x).sum() if sum else f(t * x).mean()


def weights(n):
    return Input(n, low=0.25, high=2, gradient=False)


SIGNS = Input(values=[[1, -1, 1], [-1, -1, 1]], gradient=False)


def elements():
    for name, f in (("mse", F.mse_loss), ("mae", F.l1_loss), ("huber", F.huber_loss), ("smooth_l1", F.smooth_l1_loss)):
        yield Case(name, regression(f), [Input(5, 7), Input(5, 7)])
        yield Case(name, regression(f), [Input(2, 3, 5), Input(2, 3, 5)], sum=True)
        yield Case(name, regression(f), [Input(values=[0, 1, -1, 1e4, -1e4]), Input(values=[0] * 5)], label="points")
    yield Case("huber", regression(F.huber_loss), [Input(5, 7), Input(5, 7)], delta=0.5)
    yield Case("smooth_l1", regression(F.smooth_l1_loss), [Input(5, 7), Input(5, 7)], beta=0.5)
    for name, f, low, high in (("binary_cross_entropy", F.binary_cross_entropy, 0.01, 0.99),
                               ("binary_cross_entropy_logits", F.binary_cross_entropy_with_logits, -6, 6)):
        x, t = Input(5, 7, low=low, high=high), Input(5, 7, low=0, high=1)
        yield Case(name, binary(f), [x, t])
        yield Case(name, binary(f), [x, t, weights(7)], weights=True, sum=True)
    yield Case("binary_cross_entropy", binary(F.binary_cross_entropy),
               [Input(values=[0, 0, 1, 1, 1e-20]), Input(values=[0, 1, 0, 1, 1], gradient=False)], label="points",
               sum=True)
    yield Case("binary_cross_entropy_logits", binary(F.binary_cross_entropy_with_logits),
               [Input(values=[0, 1e4, -1e4]), Input(values=[0, 0.25, 1], gradient=False)], label="points")
    yield Case("log_loss", lambda x, t: F.binary_cross_entropy(x, t, reduction="none"),
               [Input(7, low=0.1, high=0.9), Input(7, low=0, high=1)])
    yield Case("hinge_loss", of_margins(lambda z: F.relu(1 - z)), [Input(2, 3), SIGNS])
    yield Case("hinge_loss", of_margins(lambda z: F.relu(1 - z)), [Input(2, 3), SIGNS], sum=True)
    yield Case("perceptron_loss", of_margins(lambda z: torch.where(z > 0, 0, -z)), [Input(2, 3), SIGNS])


def classes():
    f, name = cross_entropy, "softmax_cross_entropy"
    yield Case(name, f, [Input(7, 5), index(7, classes=5)])
    yield Case(name, f, [Input(3, 1000, low=-30, high=30), index(3, classes=1000)])
    yield Case(name, f, [Input(2, 3, 5), index(2, 3, classes=5)], sum=True)
    yield Case(name, f, [Input(7, 5), index(7, classes=5)], label_smoothing=0.1)
    yield Case(name, f, [Input(7, 5), index(7, classes=5)], ignore_index=3)
    yield Case(name, f, [Input(7, 5), index(7, classes=5), weights(5)], weights=True)
    yield Case(name, f, [Input(2, 7, 5), index(2, 7, classes=5), weights(5)], weights=True, label_smoothing=0.2,
               ignore_index=1)
    yield Case(name, f, [Input(9, 5), index(9, classes=5), weights(5)], weights=True, label_smoothing=0.2,
               ignore_index=1, sum=True)
    yield Case(name, f, [Input(7, 5), Input(7, 5, low=0, high=1)])
    yield Case(name, f, [Input(2, 3, 5), Input(2, 3, 5, low=0, high=1), weights(5)], weights=True, label_smoothing=0.1)
    yield Case("accuracy", lambda x, t: (x.argmax(-1) == t).double().mean(), [Input(9, 3), index(9, classes=3)],
               value_only=True)


def penalties():
    yield Case("l1_penalty", lambda w, factor: factor * w.abs().sum(), [Input(3, 5)], factor=0.3)
    yield Case("l2_penalty", lambda w, factor: factor / 2 * w.square().sum(), [Input(3, 5)], factor=0.3)
    yield Case("l1_activity_penalty", lambda x, factor: factor * x.abs().sum(-1).mean(), [Input(7, 5)], factor=0.3)


def losses():
    yield from elements()
    yield from classes()
    yield from penalties()
