"""Settings of training in model files and on the command line, on small tables.

usage: test_training_settings.py CLTRAIN [TEST...]
"""
import json
import math
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import unittest

CLTRAIN = str(pathlib.Path(sys.argv[1]).resolve())


class Case(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self.temporary.name)

    def tearDown(self):
        self.temporary.cleanup()

    def cltrain(self, *arguments, code=0):
        result = subprocess.run([CLTRAIN, *map(str, arguments)], cwd=self.folder, text=True,
                                capture_output=True, timeout=300)
        self.assertEqual(result.returncode, code, f"{arguments}\n{result.stdout}\n{result.stderr}")
        return result

    def lines(self, *arguments):
        return [json.loads(line) for line in self.cltrain(*arguments, "--json").stdout.splitlines()]

    def write(self, text, name="model.yaml"):
        (self.folder / name).write_text(text, encoding="utf-8")
        return name

    def variables(self, run):
        """{name: numbers} of a run's latest checkpoint."""
        folder = self.folder / run / "checkpoints"
        content = (folder / (folder / "latest").read_text().strip()).read_bytes()
        length, = struct.unpack("<Q", content[:8])
        data = content[8 + length:]
        found = {}
        for name, about in json.loads(content[8:8 + length]).items():
            if name != "__metadata__" and about["dtype"] == "F32":
                begin, end = about["data_offsets"]
                found[name] = struct.unpack(f"<{(end - begin) // 4}f", data[begin:end])
        return found


def deviation(numbers):
    return math.sqrt(sum(x * x for x in numbers) / len(numbers))


# Of a weight (20, 30): what is written in the file, the standard deviation around 0, the largest size.
INITS = [
    ("init: zeros", 0, 0),
    ("init: ones, init_gain: 0.5", 0.5, 0.5),
    ("init: constant, init_value: -0.25", 0.25, 0.25),
    ("init: normal, init_value: 0.2", 0.2, 1),
    ("init: truncated_normal, init_value: 0.2", 0.88 * 0.2, 0.4),
    ("init: uniform, init_value: 0.3", 0.3 / math.sqrt(3), 0.3),
    ("init: fan_in_uniform", math.sqrt(1 / 60), math.sqrt(1 / 20)),
    ("init_gain: 2", 2 * math.sqrt(1 / 60), 2 * math.sqrt(1 / 20)),
    ("init: glorot_normal", math.sqrt(2 / 50), 1),
    ("init: glorot_uniform", math.sqrt(2 / 50), math.sqrt(6 / 50)),
    ("init: he_normal, init_slope: 0.5", math.sqrt(2 / 20 / 1.25), 2),
    ("init: he_uniform", math.sqrt(2 / 20), math.sqrt(6 / 20)),
    ("init: lecun_normal", math.sqrt(1 / 20), 1),
    ("init: lecun_uniform", math.sqrt(1 / 20), math.sqrt(3 / 20)),
    ("init: orthogonal", math.sqrt(1 / 30), 1),
]


class InitialWeights(Case):
    HEAD = "model:\n  name: inits\n  input: [20]\n  classes: 2\n  layers:\n"

    def test_every_kind(self):
        """What is in the checkpoint after steps too small to change anything."""
        rng = random.Random(1)
        self.write("".join(",".join(str(rng.random()) for _ in range(20)) + f",{i % 2}\n" for i in range(10)), "t.csv")
        layers = "".join(f"        - {{kind: linear, units: 30, name: w{i}, {text}}}\n"
                         for i, (text, _, _) in enumerate(INITS))
        self.write(f"{self.HEAD}    - kind: branches\n      layers:\n{layers}    - {{kind: linear, units: 2}}\n"
                   "training: {optimizer: sgd, momentum: 0, lr: 1e-30, epochs: 1, gradient_norms: false}\n")
        self.cltrain("train", "model.yaml", "--data", "t.csv", "--out", "run")
        found = self.variables("run")
        for i, (text, wanted, most) in enumerate(INITS):
            with self.subTest(text):
                weight = found[f"w{i}.weight"]
                self.assertAlmostEqual(deviation(weight), wanted, delta=0.1 * wanted + 1e-9)
                self.assertLessEqual(max(map(abs, weight)), most + 1e-6)
        rows = [found["w14.weight"][30 * k:30 * k + 30] for k in range(20)]
        self.assertAlmostEqual(sum(a * b for a, b in zip(rows[0], rows[1])), 0, places=5)

    def test_mistakes(self):
        for text, message in (("init: glorot", "unknown init 'glorot'"), ("init: normal", "init normal needs init_value"),
                              ("init: he_normal, init_value: 1", "init he_normal has no init_value"),
                              ("init_value: 1", "init fan_in_uniform has no init_value"),
                              ("init: ones, init_gain: 0", "init_gain must be above 0")):
            self.write(f"{self.HEAD}    - {{kind: linear, units: 2, {text}}}\n")
            self.assertRegex(self.cltrain("graph", "model.yaml", code=3).stderr, message)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]], verbosity=2)
