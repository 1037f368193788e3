"""Recurrent cells and sequences: weights are the transposes of torch's, time comes first."""
import torch

from cases import Case, Input

CELLS = {"rnn": torch.nn.RNNCell, "lstm": torch.nn.LSTMCell, "gru": torch.nn.GRUCell}
SEQUENCES = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}


def call(module, suffix, x, weight_ih, weight_hh, bias_ih, bias_hh, h, c=None):
    """A torch module with these weights instead of its own."""
    weights = {"weight_ih": weight_ih.T, "weight_hh": weight_hh.T, "bias_ih": bias_ih, "bias_hh": bias_hh}
    weights = {name + suffix: value for name, value in weights.items()}
    return torch.func.functional_call(module.double(), weights, (x, h if c is None else (h, c)))


def cell(kind, x, weight_ih, weight_hh, *rest):
    result = call(CELLS[kind](x.shape[-1], weight_hh.shape[0]), "", x, weight_ih, weight_hh, *rest)
    return result[0] if kind == "lstm" else result


def sequence(kind, x, weight_ih, weight_hh, *rest, relu=0):
    options = {"nonlinearity": "relu"} if relu else {}
    module = SEQUENCES[kind](x.shape[-1], weight_hh.shape[0], **options)
    return call(module, "_l0", x, weight_ih, weight_hh, *rest)[0]


def weights(gates, f, h):
    return [Input(f, gates * h, low=-0.5, high=0.5), Input(h, gates * h, low=-0.5, high=0.5),
            Input(gates * h), Input(gates * h)]


def recurrent():
    for kind, gates, states in (("rnn", 1, 1), ("lstm", 4, 2), ("gru", 3, 1)):
        for t, n, f, h in ((10, 3, 5, 7), (1, 2, 3, 4)):
            yield Case(kind, lambda *x, kind=kind: sequence(kind, *x),
                       [Input(t, n, f)] + weights(gates, f, h) + [Input(1, n, h)] * states)
        yield Case(f"{kind}_cell", lambda *x, kind=kind: cell(kind, *x),
                   [Input(2, 3)] + weights(gates, 3, 5) + [Input(2, 5)] * states)
    yield Case("rnn", lambda *x, relu: sequence("rnn", *x, relu=relu),
               [Input(4, 2, 3)] + weights(1, 3, 5) + [Input(1, 2, 5)], relu=1)
