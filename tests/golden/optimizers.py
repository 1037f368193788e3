"""Writes optimizers.h: 20 steps of a small network under each optimizer, computed by PyTorch.

usage: python tests/golden/optimizers.py > tests/golden/optimizers.h     (needs torch)

The network is mse(tanh(x w1 + b1) w2 + b2, target) in double precision. Values come from integers, so
that both sides have the same numbers without a random generator. All parameters are stored as one
vector in the order w1 b1 w2 b2, weights as (IC, OC).
"""
import torch

def everything(limit):
    return lambda p: torch.nn.utils.clip_grad_norm_(p, limit)


def value(limit):
    return lambda p: torch.nn.utils.clip_grad_value_(p, limit)


def each(limit):
    return lambda p: [torch.nn.utils.clip_grad_norm_([q], limit) for q in p]


class Own(torch.optim.Optimizer):
    """A rule that torch does not have: rule(p, g, state, group) changes p and state in place."""

    def __init__(self, params, rule, **options):
        super().__init__(params, dict(rule=rule, **options))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                group["rule"](p, p.grad, self.state[p], group)


def ratio(a, b, scale=1.0):
    return scale * a / b if a > 0 and b > 0 else 1.0


def lars(p, g, state, o):
    """You, Gitman, Ginsburg 2017, algorithm 1."""
    local = 1.0 if o.get("plain") else ratio(
        p.norm(), g.norm(), o["trust"] * g.norm() / (g.norm() + o["decay"] * p.norm()))
    v = state.setdefault("v", torch.zeros_like(p))
    v.mul_(o["momentum"]).add_(g + o["decay"] * p, alpha=o["lr"] * float(local))
    p.sub_(v)


def lamb(p, g, state, o):
    """You et al. 2020, algorithm 2, with the identity for phi."""
    m, v = (state.setdefault(k, torch.zeros_like(p)) for k in "mv")
    t = state["t"] = state.get("t", 0) + 1
    m.lerp_(g, 0.1)
    v.lerp_(g * g, 0.001)
    r = m / (1 - 0.9 ** t) / ((v / (1 - 0.999 ** t)).sqrt() + 1e-6) + o["decay"] * p
    p.sub_(r * o["lr"] * (1.0 if o.get("plain") else ratio(p.norm(), r.norm())))


def rmsprop_nesterov(p, g, state, o):
    v, d = (state.setdefault(k, torch.zeros_like(p)) for k in "vd")
    v.lerp_(g * g, 0.1)
    x = g / (v.sqrt() + 1e-3)
    d.mul_(0.8).add_(x)
    p.sub_(o["lr"] * (x + 0.8 * d))


STEPS = 20
SHAPES = [("w1", (3, 4)), ("b1", (4,)), ("w2", (4, 2)), ("b2", (2,))]
T = torch.optim
# name, clgrad options, torch optimizer, what clips the gradients (0: nothing; a number: their norm)
CASES = [
    ("sgd", ".kind = CLG_SGD, .lr = 0.1", lambda p: T.SGD(p, lr=0.1), 0),
    ("sgd, weight decay", ".kind = CLG_SGD, .lr = 0.1, .weight_decay = 0.05",
     lambda p: T.SGD(p, lr=0.1, weight_decay=0.05), 0),
    ("momentum", ".kind = CLG_SGD, .lr = 0.1, .momentum = 0.9",
     lambda p: T.SGD(p, lr=0.1, momentum=0.9), 0),
    ("nesterov, weight decay",
     ".kind = CLG_SGD, .lr = 0.1, .momentum = 0.8, .nesterov = true, .weight_decay = 0.05",
     lambda p: T.SGD(p, lr=0.1, momentum=0.8, nesterov=True, weight_decay=0.05), 0),
    ("clipped", ".kind = CLG_SGD, .lr = 0.5, .momentum = 0.5, .clip_norm = 0.3",
     lambda p: T.SGD(p, lr=0.5, momentum=0.5), 0.3),
    ("adam", ".kind = CLG_ADAM, .lr = 0.05", lambda p: T.Adam(p, lr=0.05), 0),
    ("adam, weight decay, clipped",
     ".kind = CLG_ADAM, .lr = 0.05, .beta1 = 0.8, .beta2 = 0.95, .epsilon = 1e-3, .weight_decay = 0.1, "
     ".clip_norm = 0.3",
     lambda p: T.Adam(p, lr=0.05, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1), 0.3),
    ("dampened", ".kind = CLG_SGD, .lr = 0.1, .momentum = 0.9, .dampening = 0.4",
     lambda p: T.SGD(p, lr=0.1, momentum=0.9, dampening=0.4), 0),
    ("adagrad", ".kind = CLG_ADAGRAD, .lr = 0.1", lambda p: T.Adagrad(p, lr=0.1), 0),
    ("adagrad, decays",
     ".kind = CLG_ADAGRAD, .lr = 0.2, .lr_decay = 0.1, .epsilon = 1e-3, .weight_decay = 0.05",
     lambda p: T.Adagrad(p, lr=0.2, lr_decay=0.1, eps=1e-3, weight_decay=0.05), 0),
    ("adadelta", ".kind = CLG_ADADELTA, .lr = 1", lambda p: T.Adadelta(p), 0),
    ("adadelta, weight decay",
     ".kind = CLG_ADADELTA, .lr = 2, .rho = 0.8, .epsilon = 1e-4, .weight_decay = 0.05",
     lambda p: T.Adadelta(p, lr=2, rho=0.8, eps=1e-4, weight_decay=0.05), 0),
    ("rmsprop", ".kind = CLG_RMSPROP, .lr = 0.01", lambda p: T.RMSprop(p), 0),
    ("rmsprop, momentum",
     ".kind = CLG_RMSPROP, .lr = 0.01, .momentum = 0.8, .epsilon = 1e-3, .weight_decay = 0.05",
     lambda p: T.RMSprop(p, momentum=0.8, eps=1e-3, weight_decay=0.05), 0),
    ("rmsprop, centered", ".kind = CLG_RMSPROP, .lr = 0.01, .rho = 0.9, .epsilon = 1e-2, .centered = true",
     lambda p: T.RMSprop(p, alpha=0.9, eps=1e-2, centered=True), 0),
    ("rmsprop, centered, momentum",
     ".kind = CLG_RMSPROP, .lr = 0.005, .rho = 0.95, .epsilon = 1e-2, .momentum = 0.5, .centered = true",
     lambda p: T.RMSprop(p, lr=0.005, alpha=0.95, eps=1e-2, momentum=0.5, centered=True), 0),
    ("rmsprop, nesterov",
     ".kind = CLG_RMSPROP, .lr = 0.01, .rho = 0.9, .epsilon = 1e-3, .momentum = 0.8, .nesterov = true",
     lambda p: Own(p, rmsprop_nesterov, lr=0.01), 0),
    ("amsgrad", ".kind = CLG_ADAM, .lr = 0.05, .beta2 = 0.8, .amsgrad = true",
     lambda p: T.Adam(p, lr=0.05, betas=(0.9, 0.8), amsgrad=True), 0),
    ("adamax", ".kind = CLG_ADAMAX, .lr = 0.05", lambda p: T.Adamax(p, lr=0.05), 0),
    ("adamax, weight decay",
     ".kind = CLG_ADAMAX, .lr = 0.05, .beta1 = 0.8, .beta2 = 0.7, .epsilon = 1e-3, .weight_decay = 0.1",
     lambda p: T.Adamax(p, lr=0.05, betas=(0.8, 0.7), eps=1e-3, weight_decay=0.1), 0),
    ("nadam", ".kind = CLG_NADAM, .lr = 0.02", lambda p: T.NAdam(p, lr=0.02), 0),
    ("nadam, weight decay",
     ".kind = CLG_NADAM, .lr = 0.02, .beta1 = 0.8, .beta2 = 0.95, .epsilon = 1e-3, .weight_decay = 0.1, "
     ".momentum_decay = 0.1",
     lambda p: T.NAdam(p, lr=0.02, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1, momentum_decay=0.1), 0),
    ("nadam, decoupled decay", ".kind = CLG_NADAM, .lr = 0.02, .weight_decay = 0.5, .decoupled_decay = true",
     lambda p: T.NAdam(p, lr=0.02, weight_decay=0.5, decoupled_weight_decay=True), 0),
    ("radam", ".kind = CLG_RADAM, .lr = 0.05", lambda p: T.RAdam(p, lr=0.05), 0),
    ("radam, weight decay",
     ".kind = CLG_RADAM, .lr = 0.05, .beta1 = 0.8, .beta2 = 0.9, .epsilon = 1e-3, .weight_decay = 0.1",
     lambda p: T.RAdam(p, lr=0.05, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.1), 0),
    ("radam, decoupled decay",
     ".kind = CLG_RADAM, .lr = 0.05, .beta2 = 0.6, .weight_decay = 0.5, .decoupled_decay = true",
     lambda p: T.RAdam(p, lr=0.05, betas=(0.9, 0.6), weight_decay=0.5, decoupled_weight_decay=True), 0),
    ("adamw, amsgrad", ".kind = CLG_ADAMW, .lr = 0.05, .amsgrad = true",
     lambda p: T.AdamW(p, lr=0.05, amsgrad=True), 0),
    ("adamw", ".kind = CLG_ADAMW, .lr = 0.05", lambda p: T.AdamW(p, lr=0.05), 0),
    ("adamw, no decay", ".kind = CLG_ADAMW, .lr = 0.05, .weight_decay = -1",
     lambda p: T.AdamW(p, lr=0.05, weight_decay=0.0), 0),
    ("adamw, weights only",
     ".kind = CLG_ADAMW, .lr = 0.05, .weight_decay = 0.2, .decay_weights_only = true, .clip_norm = 1",
     lambda p: T.AdamW([{"params": p[0::2], "weight_decay": 0.2},
                        {"params": p[1::2], "weight_decay": 0.0}], lr=0.05), 1),
    ("lars", ".kind = CLG_LARS, .lr = 0.5, .trust = 0.1, .weight_decay = 0.1",
     lambda p: Own(p, lars, lr=0.5, trust=0.1, momentum=0.9, decay=0.1), 0),
    ("lars, weights only",
     ".kind = CLG_LARS, .lr = 0.1, .trust = 0.2, .momentum = -1, .weight_decay = 0.1, "
     ".decay_weights_only = true",
     lambda p: Own([{"params": p[0::2], "decay": 0.1}, {"params": p[1::2], "decay": 0.0, "plain": True}],
                   lars, lr=0.1, trust=0.2, momentum=0.0), 0),
    ("lamb", ".kind = CLG_LAMB, .lr = 0.02", lambda p: Own(p, lamb, lr=0.02, decay=0.0), 0),
    ("lamb, weights only",
     ".kind = CLG_LAMB, .lr = 0.02, .weight_decay = 0.1, .decay_weights_only = true",
     lambda p: Own([{"params": p[0::2], "decay": 0.1}, {"params": p[1::2], "decay": 0.0, "plain": True}],
                   lamb, lr=0.02), 0),
    ("clipped by value", ".kind = CLG_SGD, .lr = 0.3, .momentum = 0.5, .clip_value = 0.05",
     lambda p: T.SGD(p, lr=0.3, momentum=0.5), value(0.05)),
    ("clipped by tensor", ".kind = CLG_SGD, .lr = 0.3, .momentum = 0.5, .clip_tensor_norm = 0.2",
     lambda p: T.SGD(p, lr=0.3, momentum=0.5), each(0.2)),
    ("clipped in all ways",
     ".kind = CLG_SGD, .lr = 0.5, .clip_value = 0.3, .clip_tensor_norm = 0.3, .clip_norm = 0.4",
     lambda p: T.SGD(p, lr=0.5), lambda p: (value(0.3)(p), each(0.3)(p), everything(0.4)(p))),
]


def sequence(count, seed):
    """Numbers in -1 .. 0.98 in steps of 1/50: exact enough as decimal text in C."""
    return [((seed * 37 + i * 61) % 100 - 50) / 50 for i in range(count)]


def tensor(shape, seed):
    count = torch.Size(shape).numel()
    return torch.tensor(sequence(count, seed), dtype=torch.float64).reshape(shape)


def run(make, clip):
    p = [tensor(shape, i + 1).requires_grad_() for i, (_, shape) in enumerate(SHAPES)]
    x, target = tensor((5, 3), 7), tensor((5, 2), 8)
    optimizer = make(p)
    losses, norms, snapshots = [], [], []
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(torch.tanh(x @ p[0] + p[1]) @ p[2] + p[3], target)
        loss.backward()
        norms.append(torch.nn.utils.get_total_norm([q.grad for q in p]).item())
        if clip:
            (everything(clip) if isinstance(clip, float | int) else clip)(p)
        optimizer.step()
        losses.append(loss.item())
        if step in (0, STEPS - 1):
            snapshots.append([v for q in p for v in q.detach().flatten().tolist()])
    return losses, norms, snapshots


def numbers(values):
    return "{" + ", ".join(f"{v:.9g}" for v in values) + "}"


def main():
    total = sum(torch.Size(shape).numel() for _, shape in SHAPES)
    print("/* Written by optimizers.py with PyTorch: do not edit. */")
    print("/* clang-format off */")
    print('#include "clgrad/nn.h"')
    print(f"enum {{ GOLDEN_STEPS = {STEPS}, GOLDEN_PARAMETERS = {total} }};")
    print("static const float golden_start[] = "
          + numbers([v for i, (_, s) in enumerate(SHAPES) for v in tensor(s, i + 1).flatten().tolist()])
          + ";")
    print("static const float golden_x[] = " + numbers(sequence(15, 7)) + ";")
    print("static const float golden_target[] = " + numbers(sequence(10, 8)) + ";")
    print("static const struct golden_case {\n    const char *name;\n    clg_optimizer_params params;")
    print("    double loss[GOLDEN_STEPS], norm[GOLDEN_STEPS];")
    print("    double first[GOLDEN_PARAMETERS], last[GOLDEN_PARAMETERS];\n} golden_cases[] = {")
    for name, options, make, clip in CASES:
        losses, norms, snapshots = run(make, clip)
        print(f'{{"{name}", {{{options}}},')
        print(",\n".join(" " + numbers(v) for v in (losses, norms, *snapshots)) + "},")
    print("};")


if __name__ == "__main__":
    main()
