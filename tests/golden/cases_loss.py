"""Golden cases of losses."""
import torch.nn.functional as F

from cases import Case, Input, index


def losses():
    yield Case("softmax_cross_entropy", lambda x, t: F.cross_entropy(x, t), [Input(7, 5), index(7, classes=5)])
    yield Case("softmax_cross_entropy", lambda x, t: F.cross_entropy(x, t),
               [Input(3, 1000, low=-30, high=30), index(3, classes=1000)])
    yield Case("mse", lambda x, t: F.mse_loss(x, t), [Input(5, 7), Input(5, 7)])
    yield Case("binary_cross_entropy_logits", lambda x, t: F.binary_cross_entropy_with_logits(x, t),
               [Input(5, 7, low=-6, high=6), Input(5, 7, low=0, high=1)])
    yield Case("binary_cross_entropy_logits", lambda x, t: F.binary_cross_entropy_with_logits(x, t),
               [Input(values=[0, 1e4, -1e4]), Input(values=[0, 0.25, 1], gradient=False)], label="points")
    yield Case("accuracy", lambda x, t: (x.argmax(1) == t).double().mean(), [Input(9, 3), index(9, classes=3)],
               value_only=True)
