"""Golden cases of products, convolutions and pooling."""
import math

import torch
import torch.nn.functional as F

from cases import Case, Input
from layout import nchw, nhwc


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
    for h, w in ((1, 1), (3, 2), (5, 7), (4, 4)):
        for name, f in (("adaptive_average_pool2d", F.adaptive_avg_pool2d), ("adaptive_max_pool2d", F.adaptive_max_pool2d)):
            yield Case(name, lambda x, size, f=f: nhwc(f(nchw(x), size)), [Input(2, 5, 7, 3)], size=[h, w])
    yield Case("global_average_pool2d", lambda x: x.mean((1, 2)), [Input(2, 3, 5, 7)])
