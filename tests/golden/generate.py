"""Writes the golden files: what PyTorch computes, for the C suite to compare with (test_golden.c).

usage: python tests/golden/generate.py [--check]     (needs torch, numpy, safetensors)

Each group is NAME.json, which lists the cases, and NAME.safetensors, which has the results: f32, from
a computation in double precision. Inputs are not stored: both sides draw them from the generator
`uniform` of cases.py. Optimizers are a C header of their own. With --check nothing is written; the exit
status says whether the files are current.
"""
import contextlib
import io
import json
import pathlib
import sys

import numpy
import safetensors.numpy

import operations
import optimizers
import schedules

FOLDER = pathlib.Path(__file__).resolve().parent


def as_json(cases):
    """One case per line, so that changes can be read."""
    return "[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n"


def as_safetensors(arrays):
    return safetensors.numpy.save({k: numpy.ascontiguousarray(v, "float32") for k, v in arrays.items()})


def close(a, b):
    """Another version of PyTorch may differ in the last digits."""
    a, b = safetensors.numpy.load(a), safetensors.numpy.load(b)
    return a.keys() == b.keys() and all(
        a[k].shape == b[k].shape and numpy.allclose(a[k], b[k], 1e-6, 1e-7, equal_nan=True) for k in a)


def optimizer_header():
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        optimizers.main()
    return text.getvalue()


def main():
    check, stale, total = "--check" in sys.argv[1:], [], 0
    for name, module in (("operations", operations), ("schedules", schedules)):
        cases, arrays = module.generate()
        names = [case["name"] for case in cases]
        assert len(set(names)) == len(names), f"{name}: {sorted(names)}"
        text, data = FOLDER / f"{name}.json", FOLDER / f"{name}.safetensors"
        new_text, new_data = as_json(cases).encode(), as_safetensors(arrays)
        total += len(new_text) + len(new_data)
        print(f"{name}: {len(cases)} cases, {len(new_text)} + {len(new_data)} bytes")
        if check:
            if text.read_bytes() != new_text or not close(data.read_bytes(), new_data):
                stale.append(name)
        else:
            text.write_bytes(new_text)
            data.write_bytes(new_data)
    text, new_text = FOLDER / "optimizers.h", optimizer_header()
    total += len(new_text)
    if check and text.read_text() != new_text:
        stale.append("optimizers")
    elif not check:
        text.write_text(new_text)
    print(f"{total} bytes" + "".join(f"; {name} is not what PyTorch says" for name in stale))
    return 1 if stale or total > 2_000_000 else 0


if __name__ == "__main__":
    sys.exit(main())
