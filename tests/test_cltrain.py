"""Drives the cltrain program as people and scripts do: options, files, exit codes, JSON, signals.

usage: test_cltrain.py CLTRAIN [TEST...]

Training happens on tiny made-up images (dark or bright halves by class), so that the whole takes a minute.
"""
import gzip
import json
import os
import pathlib
import random
import re
import signal
import struct
import subprocess
import sys
import tempfile
import unittest
import unittest.mock
import zlib

CLTRAIN = str(pathlib.Path(sys.argv[1]).resolve())

MODEL = """model:
  name: tiny
  input: [8, 8, 1]
  classes: 4
  layers:
    - {kind: conv2d, channels: 4, kernel: 3, padding: same}
    - {kind: leaky_relu, a: 0.1}
    - {kind: max_pool2d, size: 2}
    - {kind: flatten}
    - {kind: dropout, rate: 0.1}
    - {kind: linear, units: 4}
training:
  lr: 0.01
  batch: 16
  epochs: 3
"""


def write_idx(path, dims, data):
    content = struct.pack(">BBBB", 0, 0, 8, len(dims)) + struct.pack(f">{len(dims)}I", *dims) + bytes(data)
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wb") as file:
        file.write(content)


def make_images(folder, part, count, seed, suffix=""):
    """8 x 8 images of four classes: which quarter is bright."""
    rng = random.Random(seed)
    pixels, labels = bytearray(), bytearray()
    for _ in range(count):
        label = rng.randrange(4)
        labels.append(label)
        for y in range(8):
            for x in range(8):
                bright = (y // 4) * 2 + x // 4 == label
                pixels.append(rng.randrange(120, 256) if bright else rng.randrange(0, 136))
    write_idx(folder / f"{part}-images-idx3-ubyte{suffix}", [count, 8, 8], pixels)
    write_idx(folder / f"{part}-labels-idx1-ubyte{suffix}", [count], labels)


def make_data(folder):
    folder.mkdir()
    make_images(folder, "train", 333, 1, ".gz")
    make_images(folder, "t10k", 100, 2)
    return folder


class Case(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self.temporary.name)

    def tearDown(self):
        self.temporary.cleanup()

    def cltrain(self, *arguments, code=0, env=None):
        """Runs cltrain in the test's folder; the result has text in stdout and stderr."""
        result = subprocess.run([CLTRAIN, *map(str, arguments)], cwd=self.folder, text=True,
                                capture_output=True, env={**os.environ, **(env or {})}, timeout=300)
        self.assertEqual(result.returncode, code, f"{arguments}\n{result.stdout}\n{result.stderr}")
        return result

    def lines(self, *arguments, **more):
        return [json.loads(line) for line in self.cltrain(*arguments, "--json", **more).stdout.splitlines()]

    def write(self, text, name="model.yaml"):
        (self.folder / name).write_text(text, encoding="utf-8")
        return name


class Usage(Case):
    def test_help_and_version(self):
        self.assertIn("train", self.cltrain("--help").stdout)
        self.assertRegex(self.cltrain("--version").stdout, r"^cltrain \d+\.\d+\.\d+$")
        for command in "train eval predict devices ops bench graph summary models cache".split():
            self.assertIn(f"Usage: cltrain {command}", self.cltrain(command, "--help").stdout)

    def test_mistakes(self):
        bare = self.cltrain(code=2)
        self.assertEqual(bare.stdout, "")
        self.assertIn("Usage: cltrain COMMAND", bare.stderr)
        self.assertIn("did you mean 'train'", self.cltrain("trian", code=2).stderr)
        self.assertIn("did you mean '--epochs'", self.cltrain("train", "--epoks", "1", code=2).stderr)
        self.assertIn("did you mean 'adam'", self.cltrain("train", "--optimizer", "addam", code=2).stderr)
        self.assertIn("did you mean 'cosine'", self.cltrain("train", "--schedule", "cosin", code=2).stderr)
        self.assertIn("needs a value", self.cltrain("train", "--epochs", code=2).stderr)
        for arguments in (["--epochs", "0"], ["--batch", "x"], ["--lr", "nan"], ["--optimizer", "adm"],
                          ["a.yaml", "b.yaml"], ["--resume", "x", "m"], ["--resume", "x", "--out", "y"]):
            self.cltrain("train", *arguments, code=2)
        self.assertIn("whole number in 0 .. 9223372036854775807,", self.cltrain("train", "--seed", "-1", code=2).stderr)
        self.assertIn("lenet is a model", self.cltrain("eval", "lenet", code=3).stderr)
        self.cltrain("cache", "clera", code=2)
        self.cltrain("bench", "matmul-1", code=2)
        self.cltrain("eval", code=2)
        self.cltrain("predict", "run", code=2)

    def test_closed_output(self):
        closed = subprocess.run(f"exec '{CLTRAIN}' ops >&-", shell=True, capture_output=True, text=True)
        self.assertEqual(closed.returncode, 1)
        self.assertIn("could not be written", closed.stderr)
        limited = subprocess.run(f"ulimit -f 1; '{CLTRAIN}' ops > out", shell=True, capture_output=True, text=True,
                                 cwd=self.folder)
        self.assertEqual(limited.returncode, 1)
        self.assertIn("File too large", limited.stderr)
        gone = subprocess.run(["bash", "-c", f"'{CLTRAIN}' ops --json | true; echo ${{PIPESTATUS[0]}}"],
                              capture_output=True, text=True)
        self.assertIn(gone.stdout.strip(), ("0", "1"))
        self.assertEqual(gone.stderr, "")

    def test_tables(self):
        ops = {op["name"]: op for op in self.lines("ops")}
        self.assertEqual(ops["relu"]["formula"], "max(0, x)")
        self.assertTrue({"conv2d", "matmul", "max_pool2d"} <= set(ops))
        devices = self.lines("devices", env={"LANG": "de_DE.UTF-8", "LC_ALL": "de_DE.UTF-8"})
        self.assertTrue(devices[0]["default"] and devices[0]["name"])
        info, = self.lines("cache", "info")
        self.assertEqual(set(info), {"directory", "note", "entries", "bytes", "limit_bytes"})
        self.write("", "file")
        for name, place, wanted in (("XDG_CACHE_HOME", "none", r": 0 programs.*\nDrivers that keep compiled kernels"),
                                    ("CLGRAD_CACHE_DIR", "none", r": 0 programs.*\n$"),
                                    ("CLGRAD_CACHE_DIR", "file", r"^The kernel cache is off: .*file: .*directory\n$")):
            with unittest.mock.patch.dict(os.environ, {"CLGRAD_CACHE": "1"}):
                os.environ.pop("CLGRAD_CACHE_DIR", None)
                self.assertRegex(self.cltrain("cache", env={name: str(self.folder / place)}).stdout, wanted)

    def test_no_device(self):
        for selector in ("no such thing", "::9"):
            result = self.cltrain("train", "mlp", "--device", selector, "--data", "builtin", code=4)
            self.assertIn("there is", result.stderr)
        self.cltrain("devices", code=4, env={"OCL_ICD_VENDORS": "/nonexistent.icd"})
        self.assertFalse((self.folder / "runs").exists())


HEAD = """model:
  name: bad
  input: [28, 28, 1]
  classes: 10
  layers:
"""
LINEAR = "    - {kind: flatten}\n    - {kind: linear, units: 10}\n"
SEQUENCE_HEAD = """model:
  name: sequence
  input: [5, 7]
  classes: 10
  layers:
"""
BAD_MODELS = [
    (HEAD + "    - {kind: conv2d, chanels: 3, kernel: 5}", r":6:22: unknown key 'chanels' .*'channels'"),
    (HEAD + "    - {kind: conv2d, channels: 3}", r":6:7: layer 1 \(conv2d\): option 'kernel' is missing"),
    (HEAD + "    - {kind: conv2d, channels: 0, kernel: 5}", r":6:32: .*channels must be"),
    (HEAD + "    - {kind: conv2d, channels: -4, kernel: 5}", r":6:32: .*channels must be"),
    (HEAD + "    - {kind: conv2d, channels: 3, kernel: 5y}", r":6:43: .*'5y'"),
    (HEAD + "    - {kind: conv2d, channels: 3, kernel: 50}", r":6:7: layer 1 \(conv2d\): .*28"),
    (HEAD + "    - {kind: conv2d, channels: 3, kernel: 5, padding_mode: reflekt}",
     r":6:60: .*unknown padding_mode 'reflekt' .*'reflect'"),
    (HEAD + "    - {kind: conv_transpose2d, channels: 3, kernel: 5, output_padding: 1}", r"below the stride"),
    (HEAD + "    - {kind: group_norm, groups: 3}", r"group_norm1|a multiple of 3 groups"),
    (HEAD + "    - {kind: group_norm}", r"'groups' is missing"),
    (HEAD + "    - {kind: layer_norm, axes: 5}", r"layer_norm1: the last 5 axes"),
    (HEAD + "    - {kind: relo}", r":6:14: .*did you mean 'relu'"),
    (HEAD + "    - {kind: relu, units: 3}", r":6:27: .*no option 'units'"),
    (HEAD + "    - {kind: clamp, a: 0}", r":6:7: .*'b' is missing"),
    (HEAD + "    - {kind: flatten}\n    - {kind: max_pool2d}", r":7:7: layer 2 \(max_pool2d\): .*784"),
    (HEAD + "    - {kind: flatten}\n    - {kind: linear, units: 11}", r":7:7: .*11.*10 classes"),
    (SEQUENCE_HEAD + "    - {kind: rnn, units: 4, activation: gelu}\n" + LINEAR, r":6:.*unknown activation 'gelu'"),
    (HEAD + "    - {kind: linear, units: 10, init: xavier}", r":6:39: .*unknown init"),
    (HEAD + "    - relu", r":6:7: .*key: value"),
    (HEAD + LINEAR + "training: {momentum: 0.9}", r":8:22: .*sgd rmsprop lars only"),
    (HEAD + LINEAR + "training: {epochs: 0}", r":8:20: epochs must be in 1 .. 1000000"),
    (HEAD + LINEAR + "training: {epochs: 2.5}", r":8:20: 'epochs' takes a whole number"),
    (HEAD + LINEAR + "training: {lr: .inf}", r":8:16: 'lr' takes a number"),
    (HEAD + LINEAR + "training: {optimizer: sgd, beta1: 0.9}", r"beta1 is a setting of adam adamax"),
    (HEAD + LINEAR + "training: {gamma: 0.9}", r":8:19: gamma is a setting of step multi_step exponential"),
    (HEAD + LINEAR + "training: {schedule: multi_step, milestones: '3 2'}", r":8:.*milestones are"),
    (HEAD + LINEAR + "training: {schedule: linear}", r"unknown schedule 'linear'"),
    (HEAD + LINEAR + "training: {accumulate: 0}", r"accumulate must be in 1"),
    (HEAD + LINEAR + "training: {optimizer: adm}", r":8:23: .*did you mean 'adam'"),
    (HEAD + LINEAR + "training: {optimizer: &a adam, schedule: *a}", r"alias|unknown schedule"),
    (HEAD, r"'layers' takes a list"),
    ("modle: 3", r":1:1: unknown key 'modle'.*'model'"),
    ("model: {name: x, name: y}", r":1:18: key 'name' is given twice"),
    ("model: {name: x}", r"key 'input' is missing"),
    ("a: [1", r":2:1: "),
    ("", r"empty"),
    ("model: " + "[" * 5000, r"model.yaml:"),
    (" " * 70000, r"64 KiB"),
    ("model: \x01", r"byte"),
]


# Kinds of layers and their options: what stands in front, and the shape of what the layer makes.
LAYERS = [
    ("{kind: conv2d, channels: 4, kernel: 3, padding: same, padding_mode: replicate}", "(64, 28, 28, 4)"),
    ("{kind: conv2d, channels: 4, kernel: 3x5, padding: valid}", "(64, 26, 24, 4)"),
    ("{kind: conv_transpose2d, channels: 6, kernel: 3, stride: 2, padding: 1, output_padding: 1}",
     "(64, 56, 56, 6)"),
    ("{kind: layer_norm, axes: 3, epsilon: 1e-6}", "(64, 28, 28, 1)"),
    ("{kind: rms_norm}", "(64, 28, 28, 1)"),
    ("{kind: group_norm, groups: 1, name: mine}", "(64, 28, 28, 1)"),
    ("{kind: instance_norm}", "(64, 28, 28, 1)"),
    ("{kind: local_response_norm, size: 3, k: 1}", "(64, 28, 28, 1)"),
    ("{kind: adaptive_average_pool2d, size: 3x5}", "(64, 3, 5, 1)"),
    ("{kind: adaptive_max_pool2d, size: 7}", "(64, 7, 7, 1)"),
    ("{kind: channel_dropout, rate: 0.5}", "(64, 28, 28, 1)"),
]

SEQUENCE_LAYERS = [
    ("{kind: rnn, units: 4}", "(64, 5, 4)"),
    ("{kind: rnn, units: 4, activation: relu, last: true}", "(64, 4)"),
    ("{kind: lstm, units: 4, repeat: 2, init: glorot_normal}", "(64, 5, 4)"),
    ("{kind: gru, units: 4, last: true, bias: false}", "(64, 4)"),
    ("{kind: embedding, units: 3}", "(64, 5, 7, 3)"),
]


class Layers(Case):
    def test_sequences(self):
        for layer, shape in SEQUENCE_LAYERS:
            with self.subTest(layer):
                summary = self.lines("summary", self.write(f"{SEQUENCE_HEAD}    - {layer}\n{LINEAR}"))[0]
                outputs = [row["output"] for row in summary["layers"]]
                self.assertIn([int(n) for n in re.findall(r"\d+", shape)], outputs)

    def test_kinds(self):
        for layer, shape in LAYERS:
            with self.subTest(layer):
                text = self.cltrain("graph", self.write(f"{HEAD}    - {layer}\n{LINEAR}")).stdout
                self.assertIn(f"reshape(%", text)
                before = re.search(r"reshape\(%(\d+)\)", text).group(1)
                self.assertRegex(text, rf"(?m)^%{before} = .* : F32 {re.escape(shape)}")


class BadModels(Case):
    def test_messages(self):
        for text, expected in BAD_MODELS:
            with self.subTest(expected):
                result = self.cltrain("train", self.write(text), code=3)
                self.assertRegex(result.stderr, expected)
                self.assertEqual(result.stdout, "")
        self.assertFalse((self.folder / "runs").exists())

    def test_files(self):
        self.assertIn("did you mean 'lenet'", self.cltrain("train", "lnet", code=3).stderr)
        self.cltrain("train", ".", code=3)
        self.cltrain("eval", "nothing", code=3)
        self.cltrain("eval", ".", code=3)


class BadData(Case):
    def train(self, pattern):
        result = self.cltrain("train", self.write(MODEL), "--data", "data", code=3)
        self.assertRegex(result.stderr, pattern)
        self.assertFalse((self.folder / "runs").exists())

    def test_missing(self):
        self.train("cannot open data")
        make_data(self.folder / "data")
        (self.folder / "data" / "t10k-labels-idx1-ubyte").unlink()
        self.train("t10k-labels")

    def test_truncated(self):
        data = make_data(self.folder / "data")
        images = data / "t10k-images-idx3-ubyte"
        images.write_bytes(images.read_bytes()[:-5])
        self.train("t10k-images")
        packed = data / "train-images-idx3-ubyte.gz"
        packed.write_bytes(packed.read_bytes()[:-50])
        self.train("train-images")

    def test_labels(self):
        data = make_data(self.folder / "data")
        labels = data / "t10k-labels-idx1-ubyte"
        content = bytearray(labels.read_bytes())
        content[8 + 17] = 200
        labels.write_bytes(content)
        self.train(r"17.*label 200")

    def test_shape(self):
        make_data(self.folder / "data")
        result = self.cltrain("train", "lenet", "--data", "data", code=3)
        self.assertRegex(result.stderr, r"\(8, 8, 1\).*\(28, 28, 1\)")


TABLE = """model:
  name: table
  input: [3]
  classes: 2
  layers:
    - {kind: standardize}
    - {kind: linear, units: 2}
data:
  path: table.csv
  target: kind
  missing: fill
training:
  lr: 0.05
  batch: 16
  epochs: 15
  validation: 0
"""


class Formats(Case):
    """Data of other kinds than idx: read, and read again the same way."""

    def make_table(self, name, rows=200, seed=3):
        rng = random.Random(seed)
        with open(self.folder / name, "w") as file:
            file.write("size,kind,colour\n")
            for i in range(rows):
                kind = rng.choice(["apple", "pear"])
                size = "" if i == 7 else 5 * (kind == "pear") + rng.random()
                file.write(f"{size},{kind},{rng.choice(['red', 'green'])}\n")

    def test_table(self):
        self.make_table("table.csv")
        self.write(TABLE)
        last = self.lines("train", "model.yaml", "--out", "run")[-1]
        self.assertEqual(last["samples"], 40)
        self.assertGreater(last["test_accuracy"], 0.95)
        schema = json.loads((self.folder / "run" / "data.json").read_text())
        self.assertEqual(schema["classes"], ["apple", "pear"])
        self.assertEqual(len(schema["fill"]), 3)
        score, = self.lines("eval", "run")
        self.assertAlmostEqual(score["accuracy"], last["test_accuracy"], places=6)
        score, = self.lines("eval", "run", "--data", "table.csv")
        self.assertEqual(score["samples"], 200)
        # Columns by name, in another order, without the target, with a gap.
        self.write("colour,other,size\nred,x,5.5\ngreen,y,0.5\nred,z,\n", "new.csv")
        lines = self.lines("predict", "run", "new.csv")
        self.assertEqual([line["name"] for line in lines[:2]], ["pear", "apple"])
        self.assertEqual(len(lines), 3)
        self.assertIn("pear (", self.cltrain("predict", "run", "new.csv").stdout)
        self.write("colour,size\nblue,5.5\n", "new.csv")
        self.assertRegex(self.cltrain("predict", "run", "new.csv", code=3).stderr,
                         "new.csv, line 2, column colour: 'blue'")
        self.cltrain("train", "--resume", "run", "--epochs", "16")

    def test_table_mistakes(self):
        self.make_table("table.csv")
        for change, pattern in ((("missing: fill", "missing: refuse"), "line 9, column size: no value"),
                                (("missing: fill", "missing: guess"), "11:12: missing is one of refuse drop fill"),
                                (("target: kind", "target: sort"), "no column 'sort'"),
                                (("target: kind", "taget: kind"), "did you mean 'target'"),
                                (("input: [3]", "input: [4]"), r"samples are \(3\), but .* takes input \(4\)"),
                                (("path: table.csv", "path: nowhere"), "cannot open nowhere")):
            self.write(TABLE.replace(*change))
            result = self.cltrain("train", "model.yaml", "--out", "run", code=3)
            self.assertRegex(result.stderr, pattern)
        self.assertFalse((self.folder / "run").exists())

    def test_regression(self):
        """y = 3 a - 2 b + 1, measured as RMSE and MAE."""
        rng = random.Random(8)
        with open(self.folder / "table.csv", "w") as file:
            for _ in range(300):
                a, b = rng.random(), rng.random()
                file.write(f"{a:.6f},{b:.6f},{3 * a - 2 * b + 1:.6f}\n")
        self.write(TABLE.replace("input: [3]", "input: [2]").replace("classes: 2", "outputs: 1\n  loss: mse")
                   .replace("units: 2", "units: 1").replace("  target: kind\n", ""))
        last = self.lines("train", "model.yaml", "--out", "run", "--epochs", "40")[-1]
        self.assertIsNone(last["test_accuracy"])
        self.assertLess(last["test_rmse"], 0.05)
        self.assertLessEqual(last["test_mae"], last["test_rmse"])
        self.assertAlmostEqual(last["test_rmse"] ** 2, last["test_loss"], places=6)
        self.assertRegex(self.cltrain("eval", "run").stdout, r"^RMSE \S+, MAE \S+, loss \S+ \(60 samples\)$")
        self.write("0.5,0.25\n", "new.csv")
        line, = self.lines("predict", "run", "new.csv")
        self.assertAlmostEqual(line["outputs"][0], 2, delta=0.1)

    def write_png(self, name, rows):
        """An 8-bit grey image."""
        def chunk(kind, data):
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 0, 0, 0, 0)
        pixels = zlib.compress(b"".join(b"\0" + bytes(row) for row in rows))
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))

    def test_images(self):
        """Folders of images of any size, with augmentation; then single images."""
        rng = random.Random(5)

        def picture(bright_below, side):
            return [[rng.randrange(128) + (127 if (y >= side // 2) == bright_below else 0) for _ in range(side)]
                    for y in range(side)]
        for part, count in ("train", 40), ("test", 10):
            for i in range(count):
                for name, below in ("low", True), ("high", False):
                    self.write_png(f"data/{part}/{name}/{i}.png", picture(below, rng.choice([8, 12])))
        model = MODEL.replace("classes: 4", "classes: 2").replace("units: 4", "units: 2")
        self.write(model.replace("  layers:\n", """  layers:
    - {kind: random_flip}
    - {kind: random_crop, padding: 1, border: replicate}
    - {kind: standardize}
"""))
        last = self.lines("train", "model.yaml", "--data", "data", "--epochs", "12", "--out", "run")[-1]
        self.assertEqual(last["samples"], 20)
        self.assertGreater(last["test_accuracy"], 0.9)
        self.write_png("one.png", picture(True, 16))
        one, = self.lines("predict", "run", "one.png")
        self.assertEqual(one["name"], "low")
        (self.folder / "one.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
        self.assertIn("one.png", self.cltrain("predict", "run", "one.png", code=3).stderr)
        self.assertEqual(len(self.lines("predict", "run", "data/test/high", "--limit", "3")), 3)


class Training(Case):
    def setUp(self):
        super().setUp()
        make_data(self.folder / "data")
        self.write(MODEL)

    def checkpoints(self, run):
        return sorted((self.folder / run / "checkpoints").glob("step-*.safetensors"))

    def train(self, run, *more, **options):
        return self.lines("train", "model.yaml", "--data", "data", "--out", run, *more, **options)

    def test_run(self):
        run = "größe 1/lauf"
        lines = self.train(run, env={"LANG": "de_DE.UTF-8", "LC_ALL": "de_DE.UTF-8"})
        self.assertEqual(len(lines), 4)
        for epoch, line in enumerate(lines[:3], 1):
            self.assertEqual(line["epoch"], epoch)
            for key in ("train_loss", "val_loss", "val_accuracy", "images_per_second"):
                self.assertGreaterEqual(line[key], 0)
        last = lines[3]
        self.assertEqual((last["done"], last["run"]), (True, run))
        self.assertGreater(last["test_accuracy"], 0.9)
        folder = self.folder / run
        metrics = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        for metric, line in zip(metrics, lines):
            self.assertAlmostEqual(metric["train_loss"], line["train_loss"], places=6)
        self.assertIn("<svg", (folder / "loss.svg").read_text(encoding="utf-8"))
        self.assertEqual((folder / "checkpoints" / "latest").read_text().strip(),
                         self.checkpoints(run)[-1].name)
        score, = self.lines("eval", run, "--data", "data")
        self.assertEqual(score["samples"], 100)
        self.assertAlmostEqual(score["accuracy"], last["test_accuracy"], places=6)
        self.assertEqual(self.lines("eval", self.checkpoints(run)[-1]), [score])
        self.cltrain("train", "model.yaml", "--data", "data", "--out", run, code=2)

    def test_resolved_file_trains_the_same(self):
        self.train("a")
        config = self.folder / "a" / "config.yaml"
        self.cltrain("train", config, "--out", "b")
        self.assertEqual(config.read_bytes(), (self.folder / "b" / "config.yaml").read_bytes())
        self.assertEqual(self.checkpoints("a")[-1].read_bytes(), self.checkpoints("b")[-1].read_bytes())

    def test_resolved_structure_trains_the_same(self):
        """Blocks, lists in lists and parameters survive in config.yaml."""
        self.write("""model:
  name: nested
  input: [8, 8, 1]
  classes: 4
  blocks:
    - name: mix
      parameters: [channels, rate=-0.5]
      layers:
        - kind: residual
          projection: pad
          layers:
            - kind: branches
              layers:
                - {kind: conv2d, channels: $channels, kernel: 3, padding: same}
                - {kind: conv2d, channels: $channels, kernel: 1, bias: false}
            - {kind: elu, a: $rate}
  layers:
    - {kind: mix, with: [2], name: "a b", repeat: 2}
    - {kind: max_pool2d}
    - {kind: flatten}
    - {kind: linear, units: 4}
""")
        self.train("a", "--epochs", "1")
        config = self.folder / "a" / "config.yaml"
        self.cltrain("train", config, "--out", "b")
        self.assertEqual(config.read_bytes(), (self.folder / "b" / "config.yaml").read_bytes())
        self.assertEqual(self.checkpoints("a")[-1].read_bytes(), self.checkpoints("b")[-1].read_bytes())
        self.assertIn("$channels", config.read_text())

    def test_optimizers(self):
        for optimizer in ("sgd", "adamw", "rmsprop", "lamb"):
            lines = self.train(optimizer, "--optimizer", optimizer, "--epochs", "1", "--seed", "7")
            self.assertLess(lines[0]["train_loss"], 2.2)
        self.assertRegex((self.folder / "sgd" / "config.yaml").read_text(), "momentum: 0.9")
        self.assertRegex((self.folder / "rmsprop" / "config.yaml").read_text(), "momentum: 0\n  nesterov")
        self.assertRegex((self.folder / "lamb" / "config.yaml").read_text(), "epsilon: 1e-06")

    def test_steps_of_several_batches(self):
        """Accumulated gradients, averaged weights and a plateau, stopped inside an epoch and resumed."""
        self.write(MODEL + "  accumulate: 4\n  ema: 0.9\n  plateau: 1\n  schedule: constant\n",
                   "parts.yaml")
        more = ("parts.yaml", "--data", "data", "--epochs", "6", "--checkpoint-every", "2")
        whole = self.lines("train", *more, "--out", "whole")
        self.assertEqual([line["step"] for line in whole[:2]], [5, 10])  # 19 batches each
        accuracy = self.lines("eval", "whole", "--data", "data")[0]["accuracy"]
        self.assertEqual(accuracy, whole[-1]["test_accuracy"])  # both with the averaged weights
        self.lines("train", *more, "--out", "part")
        for checkpoint in self.checkpoints("part")[1:]:
            checkpoint.unlink()
        kept, = self.checkpoints("part")
        (self.folder / "part" / "checkpoints" / "latest").write_text(kept.name + "\n")
        self.lines("train", "--resume", "part")
        self.assertEqual(self.checkpoints("whole")[-1].read_bytes(), self.checkpoints("part")[-1].read_bytes())

    def test_rate_finder(self):
        lines = self.lines("train", "model.yaml", "--data", "data", "--lr-find", "--optimizer", "adam")
        rates = [line["lr"] for line in lines[:-1]]
        self.assertEqual(rates, sorted(rates))
        self.assertTrue(1e-5 < lines[-1]["suggested_lr"] < 1, lines[-1])
        self.assertFalse((self.folder / "runs").exists())
        self.assertRegex(self.cltrain("train", "model.yaml", "--data", "data", "--lr-find").stdout, "fastest at a rate")
        self.cltrain("train", "--lr-find", "--out", "x", code=2)

    def test_stop_and_resume(self):
        self.train("whole", "--epochs", "20")
        process = subprocess.Popen([CLTRAIN, "train", "model.yaml", "--data", "data", "--out", "parts",
                                    "--epochs", "20", "--json"], cwd=self.folder, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdout.readline()  # in the middle of the second epoch, or close to it
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=100)
        self.assertEqual(process.returncode, 130, errors)
        self.assertIn("--resume parts", errors)
        self.cltrain("train", "--resume", "parts", "--batch", "8", code=2)
        self.lines("train", "--resume", "parts")
        self.assertEqual((self.folder / "whole/config.yaml").read_bytes(),
                         (self.folder / "parts/config.yaml").read_bytes())
        self.assertEqual(self.checkpoints("whole")[-1].read_bytes(),
                         self.checkpoints("parts")[-1].read_bytes())
        losses = [[json.loads(line)["train_loss"] for line in
                   (self.folder / run / "metrics.jsonl").read_text().splitlines()]
                  for run in ("whole", "parts")]
        self.assertEqual(losses[0], losses[1])

    def test_resume_in_mid_epoch(self):
        self.train("whole", "--checkpoint-every", "7")
        # Fall back to a checkpoint inside an epoch, as after a crash.
        self.train("parts", "--checkpoint-every", "7")
        whole = self.checkpoints("whole")
        inside = [c for c in self.checkpoints("parts") if int(re.search(r"\d+", c.name)[0]) % 19]
        self.assertTrue(inside, whole)
        for checkpoint in self.checkpoints("parts"):
            if checkpoint.name > inside[-1].name:
                checkpoint.unlink()
        (self.folder / "parts" / "checkpoints" / "latest").write_text(inside[-1].name + "\n")
        result = self.cltrain("train", "--resume", "parts")
        self.assertIn("Resuming", result.stderr)
        self.assertEqual(whole[-1].read_bytes(), self.checkpoints("parts")[-1].read_bytes())
        again = (self.folder / "parts" / "metrics.jsonl").read_text().splitlines()
        first = (self.folder / "whole" / "metrics.jsonl").read_text().splitlines()
        self.assertEqual([json.loads(line)["train_loss"] for line in first],
                         [json.loads(line)["train_loss"] for line in again])

    def test_damaged_checkpoint(self):
        self.train("run")
        checkpoints = self.checkpoints("run")
        for number, checkpoint in enumerate(reversed(checkpoints), 1):
            content = bytearray(checkpoint.read_bytes())
            content[-9] ^= 4
            checkpoint.write_bytes(content)
            result = self.cltrain("eval", "run", code=0 if number < len(checkpoints) else 3)
            self.assertIn(checkpoints[-1].name, result.stderr)

    def test_diverged(self):
        result = self.cltrain("train", "model.yaml", "--data", "data", "--out", "run", "--optimizer", "sgd",
                              "--lr", "1e6", "--epochs", "50", code=6)
        self.assertRegex(result.stderr, r"diverged.*step \d+ \(epoch \d+\).*the first such tensor: \w+")
        saved = (self.folder / "run/checkpoints").exists()
        self.assertIn("before are in run/checkpoints" if saved else "no checkpoint from before", result.stderr)

    def test_batch_too_large(self):
        result = self.cltrain("train", "model.yaml", "--data", "data", "--batch", "16000000", code=5)
        self.assertRegex(result.stderr, r"--batch \d+")
        self.assertFalse((self.folder / "runs").exists())

    def test_unwritable(self):
        self.write("", "file")
        self.cltrain("train", "model.yaml", "--data", "data", "--out", "file/run", code=1)

    def test_predict(self):
        self.train("run")
        images = "data/t10k-images-idx3-ubyte"
        labels = (self.folder / "data/t10k-labels-idx1-ubyte").read_bytes()[8:]
        lines = self.lines("predict", "run", images, images)
        self.assertEqual(len(lines), 200)
        right = sum(line["class"] == labels[line["sample"]] for line in lines[:100])
        score, = self.lines("eval", "run")
        self.assertAlmostEqual(right / 100, score["accuracy"], places=6)
        for line in lines:
            self.assertAlmostEqual(sum(line["probabilities"]), 1, places=4)
        self.assertEqual(len(self.cltrain("predict", "run", images, "--limit", "3").stdout.splitlines()), 3)
        self.cltrain("predict", "run", "data/t10k-labels-idx1-ubyte", code=3)
        self.cltrain("predict", "run", "model.yaml", code=3)

    def test_chosen_classes(self):
        chosen = MODEL.replace("classes: 4", "classes: 2").replace("units: 4", "units: 2")
        chosen += "  validation: 0.2\ndata:\n  classes: %s\n"
        self.write(chosen % "3, 1" + "  per_class: 20\n")
        self.train("run", "--epochs", "1", "--batch", "8")
        record = json.loads((self.folder / "run/metrics.jsonl").read_text())
        self.assertEqual(record["step"], 4)  # 32 of 40 images
        labels = (self.folder / "data/t10k-labels-idx1-ubyte").read_bytes()[8:]
        score, = self.lines("eval", "run")
        self.assertEqual(score["samples"], sum(label in (1, 3) for label in labels))
        lines = self.lines("predict", "run", "data/t10k-images-idx3-ubyte")
        self.assertEqual({line["name"] for line in lines}, {"3", "1"})
        right = sum(line["name"] == str(labels[line["sample"]]) for line in lines)
        self.assertAlmostEqual(right / score["samples"], score["accuracy"], places=6)
        for classes, message in (("1", "1 are chosen, but model 'tiny' has 2"), ("1, cat", "no class 'cat'"),
                                 ("1, 4", "no class 4; there are 4"), ("2, 2", "named twice")):
            self.write(chosen % json.dumps(classes))
            self.assertIn(message, self.cltrain("train", "model.yaml", "--data", "data", code=3).stderr)

    def test_graph(self):
        for more in ([], ["--training"]):
            self.assertIn("conv2d", self.cltrain("graph", "model.yaml", *more).stdout)
            self.assertRegex(self.cltrain("graph", "lenet", "--dot", *more).stdout, r"^digraph")
            self.assertTrue(self.cltrain("graph", "model.yaml", "--program", *more).stdout)
        self.cltrain("graph", "--dot", "--text", code=2)

    def test_bench(self):
        lines = self.lines("bench", "matmul-512", "fma-peak", "copy")
        self.assertEqual([line["case"] for line in lines], ["matmul-512", "fma-peak", "copy"])
        for line in lines:
            self.assertGreater(line["median_ms"], 0)
            self.assertIn("device", line)
        self.assertGreater(lines[0]["gflops"], 0)
        self.assertGreater(lines[0]["share"], 0)
        self.assertIn(lines[0]["launches"], (1, 2))  # B may be packed by a launch of its own

    def test_bench_of_a_case_without_inputs(self):
        """What it measures must not be a constant that is computed once."""
        line, = self.lines("bench", "softmax-4096x1000")
        self.assertGreater(line["launches"], 0)

    def test_bench_of_a_model_that_has_a_schedule(self):
        line, = self.lines("bench", "step-resnet20-b128")
        self.assertGreater(line["median_ms"], 0)
        self.assertGreater(line["memory_bytes"], 100 << 20)

    def test_bench_profile(self):
        rows = self.lines("bench", "infer-mlp-b1", "--profile", "--trace", "trace.json")
        trace = json.loads((self.folder / "trace.json").read_text())
        self.assertEqual(sum(row["launches"] for row in rows), len(trace))
        self.assertTrue(all(event["ph"] == "X" and event["dur"] > 0 for event in trace))
        self.assertTrue(any("matmul" in row["kernel"] for row in rows))
        self.cltrain("bench", "--profile", code=2)
        self.cltrain("bench", "infer-mlp-b1", "--trace", "t.json", code=2)
        self.cltrain("bench", "infer-mlp-b1", "--profile", "--trace", "nowhere/t.json", code=1)

    def test_kernel_cache(self):
        cached = {"CLGRAD_CACHE": "1", "CLGRAD_CACHE_DIR": str(self.folder / "kernels")}
        loaded = [self.lines("bench", "softmax-4096x1000", env=cached)[0]["programs_loaded"] for _ in range(2)]
        info, = self.lines("cache", "info", env=cached)
        self.assertEqual(loaded, [0, info["entries"]])
        self.assertGreater(info["entries"], 0)

    def test_bench_names(self):
        names = self.cltrain("bench", "--list").stdout.split()
        self.assertEqual(len(names), len(set(names)))
        self.assertIn("step-resnet20-b128", names)
        self.assertIn("conv3x3-64-56-b16-weights", names)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]], verbosity=2)
