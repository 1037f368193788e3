"""The golden cases of learning rate schedules: the rates of the first 50 steps.

`options` are fields of clg_schedule.
"""
import numpy
import torch

STEPS = 50
S = torch.optim.lr_scheduler

# name, schedule, options of clgrad, torch's scheduler for a rate of 0.1 (a warm-up is torch's too)
CASES = [
    ("constant", "constant", {"lr": 0.1}, lambda o: S.ConstantLR(o, 1.0)),
    ("constant warm-up", "constant", {"lr": 0.1, "warmup": 8},
     lambda o: S.LinearLR(o, 1 / 8, 1.0, 7)),
    ("cosine", "cosine", {"lr": 0.1, "total": 50}, lambda o: S.CosineAnnealingLR(o, 50)),
    ("cosine to a floor", "cosine", {"lr": 0.1, "lr_min": 0.004, "total": 60},
     lambda o: S.CosineAnnealingLR(o, 60, 0.004)),
    ("cosine warm-up", "cosine", {"lr": 0.1, "lr_min": 0.01, "warmup": 10, "total": 50},
     lambda o: S.SequentialLR(o, [S.LinearLR(o, 1 / 10, 1.0, 9), S.CosineAnnealingLR(o, 40, 0.01)], [10])),
]


def rates(make):
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    schedule, out = make(optimizer), []
    for _ in range(STEPS):
        out.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return out


def generate():
    cases, arrays = [], {}
    for name, schedule, options, make in CASES:
        cases.append({"name": name, "schedule": schedule, "options": options})
        arrays[name] = numpy.array(rates(make))
    return cases, arrays
