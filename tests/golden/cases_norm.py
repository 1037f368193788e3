"""Golden cases of normalization."""
import torch
import torch.nn.functional as F

from cases import Case, Input
from layout import nchw, nhwc


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
    yield Case("normalize", lambda x, offset, scale: (x - offset) * scale, [Input(5, 3), Input(3), Input(3)])
