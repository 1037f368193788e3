"""torch's layout of images and clgrad's: channels second and channels last."""


def nchw(x):
    return x.permute(0, 3, 1, 2)


def nhwc(x):
    return x.permute(0, 2, 3, 1)
