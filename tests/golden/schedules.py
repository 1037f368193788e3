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
    ("step", "step", {"lr": 0.1, "every": 7}, lambda o: S.StepLR(o, 7)),
    ("step, gamma", "step", {"lr": 0.1, "every": 3, "gamma": 0.8}, lambda o: S.StepLR(o, 3, 0.8)),
    ("multi_step", "multi_step", {"lr": 0.1, "gamma": 0.5, "milestones": [5, 6, 30]},
     lambda o: S.MultiStepLR(o, [5, 6, 30], 0.5)),
    ("multi_step warm-up", "multi_step", {"lr": 0.1, "milestones": [10, 40], "warmup": 5},
     lambda o: S.ChainedScheduler([S.LinearLR(o, 1 / 5, 1.0, 4), S.MultiStepLR(o, [10, 40])])),
    ("exponential", "exponential", {"lr": 0.1, "gamma": 0.9}, lambda o: S.ExponentialLR(o, 0.9)),
    ("exponential warm-up", "exponential", {"lr": 0.1, "gamma": 0.5, "every": 10, "warmup": 4},
     lambda o: S.SequentialLR(o, [S.LinearLR(o, 1 / 4, 1.0, 3), S.ExponentialLR(o, 0.5 ** 0.1)], [4])),
    ("power", "power", {"lr": 0.1}, lambda o: S.LambdaLR(o, lambda s: 1 / (1 + s))),
    ("power, every", "power", {"lr": 0.1, "every": 10, "power": 0.5},
     lambda o: S.LambdaLR(o, lambda s: 1 / (1 + s / 10) ** 0.5)),
    ("polynomial", "polynomial", {"lr": 0.1, "total": 40}, lambda o: S.PolynomialLR(o, 40)),
    ("polynomial, power", "polynomial", {"lr": 0.1, "total": 60, "power": 2.5},
     lambda o: S.PolynomialLR(o, 60, 2.5)),
    ("polynomial to a floor", "polynomial", {"lr": 0.1, "lr_min": 0.02, "total": 40, "power": 2},
     lambda o: S.LambdaLR(o, lambda s: 0.2 + 0.8 * (1 - min(s, 40) / 40) ** 2)),
    ("cosine_restarts", "cosine_restarts", {"lr": 0.1, "lr_min": 0.01, "every": 12},
     lambda o: S.CosineAnnealingWarmRestarts(o, 12, 1, 0.01)),
    ("cosine_restarts, growth", "cosine_restarts", {"lr": 0.1, "every": 6, "growth": 2},
     lambda o: S.CosineAnnealingWarmRestarts(o, 6, 2)),
    ("one_cycle", "one_cycle", {"lr": 0.1, "total": 50}, lambda o: S.OneCycleLR(o, 0.1, 50)),
    ("one_cycle, other shares", "one_cycle",
     {"lr": 0.1, "total": 60, "up": 0.45, "start_divisor": 5, "end_divisor": 10},
     lambda o: S.OneCycleLR(o, 0.1, 60, pct_start=0.45, div_factor=5, final_div_factor=10)),
    ("cosine warm-up", "cosine", {"lr": 0.1, "lr_min": 0.01, "warmup": 10, "total": 50},
     lambda o: S.SequentialLR(o, [S.LinearLR(o, 1 / 10, 1.0, 9), S.CosineAnnealingLR(o, 40, 0.01)], [10])),
]

# Of reduce on plateau, which multiplies a rate of 1: what it is told, fields of clg_plateau, and of torch
MEASURES = [5, 4, 4.5, 3.9997, 4.2, 3.8, 3.9, 3.81, 3.85, 3.9] + [3.7, 3.9, 3.8, 3.9, 3.75] * 3 + [4] * 25
PLATEAUS = [
    ("plateau", {"patience": 10}, {}),
    ("plateau, losses", {"patience": 2, "threshold": -1}, {"patience": 2, "threshold": 0}),
    ("plateau, cooldown", {"factor": 0.5, "patience": 1, "cooldown": 2},
     {"factor": 0.5, "patience": 1, "cooldown": 2}),
    ("plateau, absolute", {"factor": 0.8, "threshold": 0.25, "absolute": True},
     {"factor": 0.8, "patience": 0, "threshold": 0.25, "threshold_mode": "abs"}),
    ("plateau, accuracies", {"factor": 0.5, "patience": 3, "threshold": 0.01, "maximize": True},
     {"factor": 0.5, "patience": 3, "threshold": 0.01, "mode": "max"}),
]


def rates(make):
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    schedule, out = make(optimizer), []
    for _ in range(STEPS):
        out.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return out


def plateau_rates(options):
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    schedule, out = S.ReduceLROnPlateau(optimizer, eps=0, **options), []
    for measure in MEASURES:
        schedule.step(measure)
        out.append(optimizer.param_groups[0]["lr"])
    return out


def generate():
    cases, arrays = [], {}
    for name, options, torch_options in PLATEAUS:
        cases.append({"name": name, "schedule": "plateau", "options": options, "measures": MEASURES})
        arrays[name] = numpy.array(plateau_rates(torch_options))
    for name, schedule, options, make in CASES:
        cases.append({"name": name, "schedule": schedule, "options": options})
        arrays[name] = numpy.array(rates(make))
    return cases, arrays
