"""Settings of training in model files and on the command line, on small tables.

usage: test_training_settings.py CLTRAIN [TEST...]
"""
import json
import math
import os
import pathlib
import random
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True  # leaves nothing in the source folder
from tables import Runs, TABLE, Tables
from test_cltrain import CLTRAIN


def deviation(numbers):
    return math.sqrt(sum(x * x for x in numbers) / len(numbers))


# Of a weight (20, 20): what is written in the file, the standard deviation around 0, the largest size.
INITS = [
    ("init: zeros", 0, 0),
    ("init: ones, init_gain: 0.5", 0.5, 0.5),
    ("init: constant, init_value: -0.25", 0.25, 0.25),
    ("init: normal, init_value: 0.2", 0.2, 1),
    ("init: truncated_normal, init_value: 0.2", 0.88 * 0.2, 0.4),
    ("init: uniform, init_value: 0.3", 0.3 / math.sqrt(3), 0.3),
    ("init: fan_in_uniform", math.sqrt(1 / 60), math.sqrt(1 / 20)),
    ("init_gain: 2", 2 * math.sqrt(1 / 60), 2 * math.sqrt(1 / 20)),
    ("init: glorot_normal, init_gain: 3", 3 * math.sqrt(2 / 40), 3),
    ("init: glorot_uniform", math.sqrt(2 / 40), math.sqrt(6 / 40)),
    ("init: he_normal, init_slope: 0.5", math.sqrt(2 / 20 / 1.25), 2),
    ("init: he_uniform", math.sqrt(2 / 20), math.sqrt(6 / 20)),
    ("init: lecun_normal", math.sqrt(1 / 20), 1),
    ("init: lecun_uniform", math.sqrt(1 / 20), math.sqrt(3 / 20)),
    ("init: orthogonal", math.sqrt(1 / 20), 1),
]


class InitialWeights(Runs):
    HEAD = "model:\n  name: inits\n  input: [20]\n  classes: 2\n  layers:\n"

    def test_every_kind(self):
        """What is in the checkpoint after steps too small to change anything."""
        rng = random.Random(1)
        self.write("".join(",".join(str(rng.random()) for _ in range(20)) + f",{i % 2}\n" for i in range(10)), "t.csv")
        layers = "".join(f"    - {{kind: linear, units: 20, name: w{i}, {text}}}\n"
                         for i, (text, _, _) in enumerate(INITS))
        self.write(f"{self.HEAD}{layers}    - {{kind: linear, units: 2}}\n"
                   "training: {optimizer: sgd, momentum: 0, lr: 1e-30, epochs: 1, gradient_norms: false}\n")
        self.cltrain("train", "model.yaml", "--data", "t.csv", "--out", "run")
        found = self.variables("run")
        for i, (text, wanted, most) in enumerate(INITS):
            with self.subTest(text):
                weight = found[f"w{i}.weight"]
                self.assertAlmostEqual(deviation(weight), wanted, delta=0.1 * wanted + 1e-9)
                self.assertLessEqual(max(map(abs, weight)), most + 1e-6)
        rows = [found["w14.weight"][20 * k:20 * k + 20] for k in range(20)]
        self.assertAlmostEqual(sum(a * b for a, b in zip(rows[0], rows[1])), 0, places=5)

    def test_mistakes(self):
        for text, message in (("init: glorot", "unknown init 'glorot'"), ("init: normal", "init normal needs init_value"),
                              ("init: he_normal, init_value: 1", "init he_normal has no init_value"),
                              ("init_value: 1", "init fan_in_uniform has no init_value"),
                              ("init: ones, init_gain: 0", "init_gain must be above 0")):
            self.write(f"{self.HEAD}    - {{kind: linear, units: 2, {text}}}\n")
            self.assertRegex(self.cltrain("graph", "model.yaml", code=3).stderr, message)


class Folds(Runs):
    FOLDS, ROWS = 4, 60

    def setUp(self):
        """x is random, and `first` says whether the class is the first one."""
        super().setUp()
        rng = random.Random(4)
        self.x = [rng.uniform(-1, 1) + i % 3 for i in range(self.ROWS)]
        rows = [f"{x},{int(i % 3 == 0)},{'abc'[i % 3]}\n" for i, x in enumerate(self.x)]
        self.write("x,first,kind\n" + "".join(rows), "t.csv")
        self.write(TABLE)

    def test_run(self):
        lines = self.lines("train", "model.yaml", "--data", "t.csv", "--folds", self.FOLDS, "--out", "cv")
        self.assertEqual([line.get("fold") for line in lines],
                         [fold for fold in range(1, self.FOLDS + 1) for _ in range(3)] + [None])
        scores = lines[2::3]
        last, written = lines[-1], json.loads((self.folder / "cv" / "folds.json").read_text())
        self.assertTrue(last["done"])
        self.assertEqual((last["folds"], last["samples"], written["folds"]), (self.FOLDS, self.ROWS, self.FOLDS))
        for name in "accuracy", "loss":
            values = [line[f"test_{name}"] for line in scores]
            mean = sum(values) / self.FOLDS
            deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / (self.FOLDS - 1))
            self.assertEqual([score[name] for score in written["scores"]], values)
            for found in last, written:
                self.assertAlmostEqual(found["mean"][name], mean, places=7)
                self.assertAlmostEqual(found["deviation"][name], deviation, places=7)
        self.assertIsNone(last["mean"]["rmse"])
        self.check_parts()
        self.check_one_fold(scores[1])

    def check_parts(self):
        """What each fold's standardization measured: its own training part, in which all classes are alike."""
        offsets = [self.variables(f"cv/fold-{fold}")["standardize1.offset"] for fold in range(1, self.FOLDS + 1)]
        self.assertEqual(len({x for x, _ in offsets}), self.FOLDS)
        train = self.ROWS - self.ROWS // self.FOLDS
        self.assertAlmostEqual(sum(train * x for x, _ in offsets), (self.FOLDS - 1) * sum(self.x), places=3)
        for _, first in offsets:
            self.assertAlmostEqual(first, 1 / 3, places=6)

    def check_one_fold(self, score):
        """A fold's directory is a run like any other, whose test part is the fold."""
        metrics = (self.folder / "cv" / "fold-2" / "metrics.jsonl").read_text().splitlines()
        self.assertEqual([json.loads(line)["epoch"] for line in metrics], [1, 2])
        measured, = self.lines("eval", "cv/fold-2")
        again = self.lines("train", "cv/fold-2/config.yaml", "--out", "again")[-1]
        resumed = self.lines("train", "--resume", "cv/fold-2")[-1]
        for loss in measured["loss"], again["test_loss"], resumed["test_loss"]:
            self.assertAlmostEqual(loss, score["test_loss"], places=6)
        for command in ["eval", "cv"], ["train", "--resume", "cv"]:
            self.assertIn("cv is a cross-validation; its models are in cv/fold-1 to fold-4",
                          self.cltrain(*command, code=3).stderr)

    def test_regression(self):
        self.write(TABLE.replace("classes: 3", "outputs: 1\n  loss: mse").replace("units: 3", "units: 1")
                   .replace("validation: 0", "validation: 0.2").replace("input: [2]", "input: [1]") +
                   "data: {target: x, folds: 2, ignore: kind}\n")
        shown = self.cltrain("train", "model.yaml", "--data", "t.csv", "--out", "cv").stdout
        self.assertRegex(shown, r"(?m)^fold 2/2  epoch  1/2 .*validation loss")
        self.assertRegex(shown, r"(?m)^fold 1/2  test RMSE \S+, MAE \S+, loss \S+ \(30 samples\)$")
        self.assertRegex(shown, r"(?m)^2 folds: RMSE \S+ \+- \S+, MAE \S+ \+- \S+, loss .*, 60 samples$")
        self.assertIsNone(json.loads((self.folder / "cv" / "folds.json").read_text())["mean"]["accuracy"])

    def test_refused(self):
        for code, message, *more in ((2, "--folds takes 2 or more", "--folds", 1),
                                     (2, "--folds takes 2 or more", "--folds", "two"),
                                     (2, "--folds takes a whole number", "--folds", "2.5"),
                                     (3, "60 samples, too few for 61 folds", "--folds", 61),
                                     (2, "drawn digits", "--folds", 2, "--data", "builtin"),
                                     (2, "give no --folds", "--folds", 2, "--lr-find")):
            self.assertIn(message, self.cltrain("train", "model.yaml", "--data", "t.csv", *more, code=code).stderr)
        for text, message in (("{folds: 1}", r"9:15: folds must be 2 or more"),
                              ("{fold: 1}", r"fold is one of 1 .. folds"), ("{folds: 2, fold: 3}", r"1 .. folds")):
            self.write(TABLE + f"data: {text}\n")
            self.assertRegex(self.cltrain("train", "model.yaml", "--data", "t.csv", code=3).stderr, message)
        self.assertFalse((self.folder / "runs").exists())
        self.write(TABLE)
        self.cltrain("train", "model.yaml", "--data", "t.csv", "--out", "run")
        self.assertIn("cannot change", self.cltrain("train", "--resume", "run", "--folds", "2", code=2).stderr)


class Rates(Tables):
    def test_zero_is_zero(self):
        """A rate of 0 is not taken for none given, on the command line, in a file and in a resumed run."""
        self.write(TABLE.replace("lr: 0.1", "lr: 0"))
        self.write(TABLE, "other.yaml")
        for run, more in ("file", ["model.yaml"]), ("option", ["other.yaml", "--lr", "0"]):
            lines = self.lines("train", *more, "--data", "t.csv", "--out", run)
            self.assertEqual([line["lr"] for line in lines[:2]], [0, 0])
            weights = self.variables(run)["linear1.weight"]
            self.assertEqual(self.lines("train", "--resume", run, "--epochs", 3)[0]["lr"], 0)
            self.assertEqual(self.variables(run)["linear1.weight"], weights)
        self.cltrain("train", "model.yaml", "--lr", "-1", code=2)

    def test_schedules(self):
        """Rates of the last step of each of three epochs, of 3 steps each: a fifth of the rows is the test part."""
        for schedule, more, rates in (
                ("step", "every: 1, gamma: 0.5", (1, 0.5, 0.25)),
                ("multi_step", "milestones: '0.5 2', gamma: 0.1", (0.1, 0.1, 0.01)),
                ("polynomial", "power: 2, lr_min: 0", ((1 - 2 / 9) ** 2, (1 - 5 / 9) ** 2, (1 - 8 / 9) ** 2)),
                ("one_cycle", "up: 0.5", (None, None, 1 / 25 / 10000))):
            self.write(TABLE.replace("lr: 0.1", f"lr: 0.1, schedule: {schedule}, {more}"), f"{schedule}.yaml")
            lines = self.lines("train", f"{schedule}.yaml", "--data", "t.csv", "--out", schedule, "--epochs", "3")
            for line, rate in zip(lines, rates):
                if rate is not None:
                    self.assertAlmostEqual(line["lr"] / 0.1, rate, 6, schedule)
        self.cltrain("train", "step.yaml", "--data", "t.csv", "--schedule", "cosine", "--out", "c")
        self.assertNotIn("gamma", (self.folder / "c" / "config.yaml").read_text())


class Resuming(Tables):
    """What becomes of the folder of a run: who may train it, and what resuming it says."""

    def test_one_process_at_a_time(self):
        first = subprocess.Popen([CLTRAIN, "train", "model.yaml", "--data", "t.csv", "--out", "run", "--epochs", "1000000",
                                  "--json"], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            first.stdout.readline()
            for result in self.cltrain("train", "--resume", "run", code=1), self.train("--out", "run", code=1):
                self.assertIn("run is being trained by another process", result.stderr)
        finally:
            first.kill()
            first.communicate()
        epochs = len((self.folder / "run" / "metrics.jsonl").read_text().splitlines())
        self.cltrain("train", "--resume", "run", "--epochs", str(epochs + 2))

    def test_resuming_says_what_it_does(self):
        spans = "The cosine schedule, made for 2 epochs, spans 3 from here on"
        self.train("--out", "run", "--epochs", "2")
        again = self.cltrain("train", "--resume", "run")
        self.assertIn("run is complete: step 6, epoch 2 of 2; more --epochs would go on", again.stderr)
        self.assertNotRegex(again.stderr, "Resuming|spans")
        self.assertIn(spans, self.cltrain("train", "--resume", "run", "--epochs", "3").stderr)
        self.train("--out", "constant", "--epochs", "2", "--schedule", "constant")
        on = self.cltrain("train", "--resume", "constant", "--epochs", "3").stderr
        self.assertIn("Resuming constant at step 6 (epoch 3)", on)
        self.assertNotIn("spans", on)

    def test_resuming_after_patience(self):
        self.write(TABLE.replace("lr: 0.1", "lr: 0, patience: 2").replace("validation: 0", "validation: 0.5"))
        self.train("--out", "run", "--epochs", "9")
        for more in [], ["--epochs", "12"]:
            again = self.cltrain("train", "--resume", "run", *more).stderr
            self.assertRegex(again, r"run is complete: step \d+, epoch 3 of (9|12), ended by its patience of 2\n")
            self.assertNotRegex(again, "Resuming|would go on")

    def test_without_locks(self):
        warning = "warning: run cannot be locked (No locks available): nothing keeps another process from training it too"
        without = {**os.environ, "LD_PRELOAD": os.environ["NO_LOCKS"]}
        for arguments in ["model.yaml", "--data", "t.csv", "--out", "run"], ["--resume", "run"]:
            result = subprocess.run([CLTRAIN, "train", *arguments, "--epochs", "1"], cwd=self.folder, text=True,
                                    capture_output=True, env=without, timeout=300)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(result.stderr.count(warning), 1, result.stderr)
        self.assertNotIn("locked", self.cltrain("train", "--resume", "run").stderr)


class ClassWeights(Runs):
    """A feature that is always 0: what is learned is how often the classes are, times their weights."""
    SHARE = 0.1  # of the second class
    MODEL = ("model:\n  name: weights\n  input: [1]\n  classes: 2\n{loss}  layers:\n"
             "    - {{kind: linear, units: {units}}}\n"
             "training: {{optimizer: sgd, momentum: 0, lr: 3, batch: 200, epochs: 25, validation: 0,\n"
             "  gradient_norms: false, {setting}}}\n")

    def setUp(self):
        super().setUp()
        self.write("".join(f"0,{int(i % 10 == 0)}\n" for i in range(200)), "t.csv")

    def train(self, setting, binary=False, code=0):
        loss = "  loss: binary_cross_entropy\n" if binary else ""
        self.write(self.MODEL.format(loss=loss, units=1 if binary else 2, setting=setting))
        return self.cltrain("train", "model.yaml", "--data", "t.csv", "--out", "run" + setting, "--json", code=code)

    def test_what_is_learned(self):
        odds = self.SHARE / (1 - self.SHARE)
        for setting, factor, binary in (("class_weights: balanced", 1 / odds, False),
                                        ("class_weights: 1 1", 1, False), ("class_weights: 2 6", 3, True)):
            with self.subTest(setting, binary=binary):
                self.temporary.cleanup()
                self.setUp()
                last = json.loads(self.train(setting, binary).stdout.splitlines()[-1])
                bias = self.variables("run" + setting)["linear1.bias"]
                logit = bias[0] if binary else bias[1] - bias[0]
                self.assertAlmostEqual(logit, math.log(odds * factor), delta=0.1)
                if factor * odds < 0.5:  # all are taken for the first class; measured is the plain loss
                    p, share = 1 / (1 + math.exp(-logit)), 1 - last["test_accuracy"]
                    wanted = -share * math.log(p) - (1 - share) * math.log(1 - p)
                    self.assertAlmostEqual(last["test_loss"], wanted, places=4)

    def test_mistakes(self):
        for setting in "class_weights: balance", "class_weights: 1", "class_weights: 1 2 3", "class_weights: -1 2", \
                "class_weights: 0 0", "class_weights: 1 x":
            self.assertRegex(self.train(setting, code=3).stderr, "class_weights is balanced, or a number .* 2 classes")
        self.write(self.MODEL.format(loss="  loss: hinge\n", units=1, setting="class_weights: balanced"))
        self.assertIn("not hinge", self.cltrain("train", "model.yaml", "--data", "t.csv", code=3).stderr)
        self.write("0,0\n" * 20, "t.csv")
        self.assertIn("no sample of class 1", self.train("class_weights: balanced", code=3).stderr)


SHARED = pathlib.Path(os.environ.get("CLGRAD_SHARED_DATA") or
                      pathlib.Path(os.environ.get("CLGRAD_SOURCE_ROOT", ".")) / ".." / "shared" / "data")


class MemoryBudget(Runs):
    """Steps run again, which changes no bit of the weights; what cannot be kept to ends before training."""
    MODEL = ("model:\n  name: deep\n  input: [2]\n  classes: 2\n  layers:\n" +
             "    - {kind: linear, units: 128}\n    - {kind: tanh}\n" * 6 + "    - {kind: linear, units: 2}\n"
             "training: {batch: 1024, epochs: 1, validation: 0}\n")

    def test_weights(self):
        rng = random.Random(5)
        self.write("".join(f"{rng.random()},{rng.random()},{i % 2}\n" for i in range(2048)), "t.csv")
        self.write(self.MODEL)
        train = ("train", "model.yaml", "--data", "t.csv")
        self.cltrain(*train, "--out", "all")
        self.cltrain(*train, "--out", "little", "--memory-budget", 3)
        self.assertEqual(self.variables("all"), self.variables("little"))
        self.assertRegex(self.cltrain("train", "--resume", "little", "--epochs", 2, "--memory-budget", 4).stdout, "epoch  2/2")
        self.assertIn("the memory budget is 1.0 MiB",
                      self.cltrain(*train, "--out", "none", "--memory-budget", 1, code=5).stderr)
        self.assertFalse((self.folder / "none").exists())


class RealTables(Runs):
    """The models for real tables are as good as they are said to be (docs/model-files.md)."""

    def test_five_folds(self):
        for model, file, measure, least, most in (("iris", "iris.data", "accuracy", 0.95, 1),
                                                  ("penguins", "penguins.csv", "accuracy", 0.95, 1),
                                                  ("auto_mpg", "mpg.csv", "rmse", 0, 3.0)):
            with self.subTest(model):
                path = (SHARED / "tabular" / file).resolve()
                if not path.exists():
                    print(f"SKIPPED: {model}: no {path} (CLGRAD_SHARED_DATA names another place)")
                    self.skipTest("no data")
                last = self.lines("train", model, "--data", path, "--folds", "5", "--out", model)[-1]
                self.assertTrue(least <= last["mean"][measure] <= most, last)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]], verbosity=2)
