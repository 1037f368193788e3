"""Model files from outside: layers that hold layers, blocks, shared weights, messages about them,
and the models that come with the program.

usage: test_model_files.py CLTRAIN [TEST...]

Only the small models are trained, on striped images; of the others the graph is built.
"""
import json
import math
import pathlib
import random
import re
import struct
import subprocess
import sys
import tempfile
import unittest

CLTRAIN = str(pathlib.Path(sys.argv[1]).resolve())

HEAD = """model:
  name: test
  input: [8, 8, 3]
  classes: 4
"""
BASIC = """  blocks:
    - name: basic
      parameters: [channels, stride=1]
      layers:
        - kind: residual
          projection: conv
          layers:
            - {kind: conv2d, channels: $channels, kernel: 3, stride: $stride, padding: same, bias: false}
            - {kind: batch_norm}
        - {kind: relu}
"""
TAIL = "    - {kind: flatten}\n    - {kind: linear, units: 4}\n"


def model(layers, blocks=""):
    return HEAD + blocks + "  layers:\n" + "".join(f"    - {layer}\n" for layer in layers) + TAIL


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

    def graph(self, text, code=0):
        (self.folder / "model.yaml").write_text(text, encoding="utf-8")
        return self.cltrain("graph", "model.yaml", code=code)

    def variables(self, text):
        """{name: shape}"""
        lines = self.graph(text).stdout.splitlines()
        found = [re.search(r"= variable\(\) : F32 (\(.*\)) +# (.*)$", line) for line in lines]
        return {match[2]: match[1] for match in found if match}


class Structure(Case):
    def test_blocks_and_names(self):
        names = self.variables(model(["{kind: basic, with: [3], name: stage, repeat: 2}",
                                      "{kind: basic, with: [6, 2]}", "{kind: basic, with: [6]}"], BASIC))
        weights = {name: shape for name, shape in names.items() if name.endswith("weight") and "norm" not in name}
        self.assertEqual(weights, {
            "stage.0.conv1.weight": "(3, 3, 3, 3)", "stage.1.conv1.weight": "(3, 3, 3, 3)",
            "basic3.conv1.weight": "(3, 3, 3, 6)", "basic3.downsample.0.weight": "(1, 1, 3, 6)",
            "basic3.downsample.1.weight": "(6)", "basic4.conv1.weight": "(3, 3, 6, 6)",
            "linear1.weight": "(96, 4)"})

    def test_nested_lists(self):
        names = self.variables(HEAD + """  layers:
    - kind: branches
      name: mix
      layers:
        - {kind: conv2d, channels: 5, kernel: 1, name: b1}
        - kind: sequence
          name: b2
          layers:
            - {kind: conv2d, channels: 2, kernel: 1}
            - {kind: conv2d, channels: 7, kernel: 3, padding: same}
        - {kind: max_pool2d, size: 3, stride: 1, padding: 1}
    - kind: residual
      layers:
        - {kind: conv2d, channels: 8, kernel: 3, stride: 2, padding: 1}
      shortcut:
        - {kind: average_pool2d}
        - {kind: conv2d, channels: 8, kernel: 1, name: fit}
    - kind: residual
      projection: pad
      layers:
        - {kind: conv2d, channels: 9, kernel: 3, stride: 2, padding: 1, repeat: 1, name: last}
""" + TAIL)
        weights = {name: shape for name, shape in names.items() if name.endswith("weight")}
        self.assertEqual(weights, {
            "mix.b1.weight": "(1, 1, 3, 5)", "mix.b2.conv1.weight": "(1, 1, 3, 2)",
            "mix.b2.conv2.weight": "(3, 3, 2, 7)", "conv1.weight": "(3, 3, 15, 8)",
            "downsample.fit.weight": "(1, 1, 15, 8)", "last.0.weight": "(3, 3, 8, 9)",
            "linear1.weight": "(36, 4)"})

    def test_blocks_in_blocks(self):
        blocks = BASIC + """    - name: stage
      parameters: [width, count, activation=relu]
      layers:
        - {kind: basic, with: [$width, 2]}
        - {kind: basic, with: [$width], repeat: $count, name: rest}
        - {kind: $activation}
"""
        names = self.variables(model(["{kind: stage, with: [4, 2, tanh], name: a}"], blocks))
        self.assertEqual([name for name in names if "conv1" in name],
                         ["a.basic1.conv1.weight", "a.rest.0.conv1.weight", "a.rest.1.conv1.weight"])

    def test_shared_weights(self):
        blocks = """  blocks:
    - name: encoder
      layers: [{kind: conv2d, channels: 3, kernel: 3, padding: same}, {kind: relu}]
"""
        names = self.variables(model(["{kind: encoder, name: e}", "{kind: encoder, share: e, repeat: 2}",
                                      "{kind: conv2d, channels: 3, kernel: 1}",
                                      "{kind: conv2d, channels: 3, kernel: 1, share: conv1}"], blocks))
        self.assertEqual([name for name in names if "weight" in name],
                         ["e.conv1.weight", "conv1.weight", "linear1.weight"])
        siamese = """  layers:
    - kind: branches
      layers:
        - {kind: conv2d, channels: 2, kernel: 3, name: eye}
        - {kind: conv2d, channels: 2, kernel: 3, share: eye}
""" + TAIL
        self.assertEqual(self.variables(HEAD + siamese)["linear1.weight"], "(144, 4)")


BAD = [
    (model(["{kind: basik, with: [3]}"], BASIC), r"16:14: .*unknown kind of layer 'basik'.*'basic'"),
    (model(["{kind: basic}"], BASIC), r"16:7: layer 1 \(basic\): a value for 'channels' is missing"),
    (model(["{kind: basic, with: [3, 1, 5]}"], BASIC), r"16:27: .*has 2 parameters, not 3"),
    (model(["{kind: basic, with: [x]}"], BASIC),
     r"12:40: layer 1 \(conv2d\) in layer 1 \(residual\) of block 'basic' \(used in line 16\): "
     r"'channels' takes a whole number, not 'x'"),
    (model(["{kind: basic, with: [300000000000]}"], BASIC), r"12:40: .*channels must be in"),
    (model(["{kind: basic, with: [3]}"], BASIC.replace("$stride", "$strid")),
     r"12:70: .*no parameter 'strid'.*'stride'"),
    (model(["{kind: linear, units: $n}"]), r"6:29: .*not in a block"),
    (model(["{kind: linear, units: 3, with: [3]}"]), r"6:38: .*no option 'with'"),
    (model(["{kind: relu, layers: [{kind: relu}]}"]), r"6:28: .*no option 'layers'"),
    (model(["{kind: residual}"]), r"option 'layers' is missing"),
    (model(["{kind: residual, layers: []}"]), r"6:32: 'layers' takes 1 to 10000 entries"),
    (model(["{kind: residual, layers: [{kind: relo}]}"]),
     r"6:40: layer 1 \(relo\) in layer 1 \(residual\): unknown kind .*'relu'"),
    (model(["{kind: residual, layers: [{kind: conv2d, channels: 4, kernel: 3, padding: same}]}"]),
     r"6:7: layer 1 \(residual\): its layers give \(64, 8, 8, 4\) \(by layer 1 \(conv2d\) in line 6\), but the "
     r"shortcut gives \(64, 8, 8, 3\)"),
    (model(["{kind: residual, projection: zero, layers: [{kind: max_pool2d}]}"]), r"conv or pad, not 'zero'"),
    (model(["{kind: residual, projection: conv, layers: [{kind: flatten}]}"]), r"for images"),
    (model(["{kind: branches, layers: [{kind: relu}, {kind: max_pool2d}]}"]),
     r"6:47: .*branch 2 gives \(64, 4, 4, 3\), but branch 1 gives \(64, 8, 8, 3\)"),
    (model(["{kind: flatten}", "{kind: relu}", "{kind: max_pool2d}"]),
     r"8:7: layer 3 \(max_pool2d\): .*192.*comes from layer 2 \(relu\) in line 7"),
    (model(["{kind: linear, units: 3, repeat: 0}"]), r"repeat must be in"),
    (model(["{kind: conv2d, channels: 3, kernel: 3, stride: 0}"]), r"stride takes a number or two from 1 on"),
    (model(["{kind: relu, repeat: 9999}", "{kind: relu, repeat: 9}"]), r"7:7: .*more than 10000 layers"),
    (model(["{kind: linear, units: 3, share: linear7}"]), r"no layer above is called 'linear7'"),
    (model(["{kind: relu, share: relu1}"]), r"no layer above is called"),
    (model(["{kind: linear, units: 3, name: a}", "{kind: relu, share: a, repeat: 2}",
            "{kind: sequence, share: a, layers: [{kind: linear, units: 3, name: b}]}"]),
     r"8:31: .*'a' does not have all the variables"),
    (model(["{kind: conv2d, channels: 3, kernel: 1}", "{kind: conv2d, channels: 3, kernel: 3, share: conv1}"]),
     r"cannot be shared, it is \(1, 1, 3, 3\), and \(3, 3, 3, 3\) is wanted"),
    (model(["{kind: relu}"], BASIC.replace("name: basic", "name: relu")), r"6:13: 'relu' is a kind of layer"),
    (model(["{kind: relu}"], BASIC + BASIC[10:]), r"15:13: block 'basic' is there twice"),
    (model(["{kind: relu}"], BASIC.replace("stride=1", "stride=")), r"7:30: a parameter is a word"),
    (model(["{kind: a}"], "  blocks: [{name: a, layers: [{kind: a}]}]\n"), r"5:38: .*only use blocks above"),
    (model(["{kind: a}"], "  blocks: [{name: a, layers: [{kind: b}]}, {name: b, layers: [{kind: relu}]}]\n"),
     r"only use blocks above"),
    (model(["{kind: sequence, layers: [" * 25 + "{kind: relu}" + "]}" * 25]), r"nested more than 40 levels"),
    (model(["{kind: linear, units: 4, name: " + "x" * 191 + "}"]), r"longer than 190"),
    (model(["{kind: linear, units: 4, name: a}", "{kind: linear, units: 4, name: a}"]), r'"a.weight" is taken'),
]


def ending(keys, last="{kind: linear, units: 1}"):
    return f"model:\n  name: test\n  input: [8]\n{keys}  layers:\n    - {last}\n"


BAD += [
    (ending("  loss: mse\n") + "training: {label_smoothing: 0.1}\n", r"7:29: label_smoothing is for softmax"),
    (ending("  loss: mse\n", "{kind: linear, units: 1, activity_l1: -1}"), r"activity_l1 must not be negative"),
    (ending("  classes: 1\n"), r"4:12: classes must be in 2"),
    (ending("  loss: mse\n  classes: 4\n"), r"5:12: there are no classes for mse: use 'outputs'"),
    (ending("  classes: 4\n  outputs: 3\n"), r"5:12: outputs is for losses of numbers"),
    (ending("  loss: mse\n  outputs: 0\n"), r"5:12: outputs must be in"),
    (ending("  loss: mze\n"), r"4:9: unknown loss 'mze' \(did you mean 'mse'\?\)"),
    (ending("  loss: hinge\n  classes: 3\n"), r"5:12: classes must be in 2 .. 2 for hinge"),
    (ending(""), r"2:3: key 'classes' is missing"),
    (ending("  loss: mse\n  target: output\n"), r"5:11: target is data or input"),
    (ending("  target: input\n"), r"4:11: an input as target needs numbers"),
    (ending("  loss: mse\n  target: input\n"), r"7:7: the last layer gives \(64, 1\), but the target is the input"),
    (ending("  loss: mse\n  outputs: 2\n"), r"7:7: the last layer gives \(64, 1\), but there are 2 outputs"),
    (ending("  loss: perceptron\n  classes: 2\n", "{kind: linear, units: 2}"),
     r"7:7: .*2 classes: end with {kind: linear, units: 1}"),
]


def multiplying(depth):
    """Blocks that use each other ten times: 10 ** depth layers."""
    blocks = ["{name: b0, layers: [{kind: relu, repeat: 10}]}"]
    blocks += [f"{{name: b{i}, layers: [{{kind: b{i - 1}, repeat: 10}}]}}" for i in range(1, depth)]
    return model([f"{{kind: b{depth - 1}}}"], "  blocks: [" + ", ".join(blocks) + "]\n")


class BadFiles(Case):
    def test_messages(self):
        for text, expected in BAD:
            with self.subTest(expected):
                result = self.graph(text, code=3)
                self.assertRegex(result.stderr, expected)
                self.assertEqual(len(result.stderr.splitlines()), 1)

    def test_multiplying_blocks(self):
        self.assertRegex(self.graph(multiplying(20), code=3).stderr, "more than 10000 layers")


# Published numbers of parameters; see docs/model-files.md.
PARAMETERS = {
    "maxout": 784 * 720 + 720 + 240 * 720 + 720 + 2410, "sparse_autoencoder": 784 * 1024 + 1024 + 1024 * 784 + 784,
    "perceptron": 5, "linear_regression": 10, "logistic_regression": 5, "approximator": 193,
    "iris": 131, "penguins": 211, "auto_mpg": 4865,
    "linear_autoencoder": 50992, "autoencoder": 944176, "denoising_autoencoder": 944176,
    "softmax_regression": 7850, "mlp": 407050, "deep_mlp_sigmoid": 250378, "deep_mlp_relu": 250378,
    "deep_mlp_batch_norm": 252938, "lenet5": 61706, "lenet": 1663370, "cnn": 468010, "vgg11_cifar": 9231114, "vgg16": 138357544,
    "resnet20": 269722, "resnet32": 464154, "resnet56": 853018, "resnet18": 11689512, "alexnet": 60965224, "inception_v1": 6998552,
    "char_rnn": 123520, "char_lstm": 1257600,
}
# Multiply-adds of a forward pass as published, to 1 %: torchvision's documentation, and He et al. 2015.
GIGA_MACS = {"alexnet": 0.724, "vgg16": 15.47, "resnet18": 1.81, "resnet20": 0.0408}
SMALL = ("softmax_regression", "deep_mlp_relu", "lenet5", "denoising_autoencoder")
ROOT = pathlib.Path(__file__).resolve().parent.parent


def write_tables(folder):
    """Tables that the small models for columns can learn: {model: file}."""
    rng = random.Random(3)
    rows = [[rng.uniform(-2, 2) for _ in range(9)] for _ in range(200)]
    targets = {"perceptron": (4, lambda row: "ab"[row[0] + row[1] > 0.3]),
               "logistic_regression": (4, lambda row: int(row[0] - row[3] > 0.2)),
               "linear_regression": (9, lambda row: row[0] + 2 * row[8] - 0.5),
               "approximator": (1, lambda row: math.sin(2 * row[0]))}
    for name, (columns, target) in targets.items():
        lines = [",".join(f"x{i}" for i in range(columns)) + ",y"]
        lines += [",".join(f"{x:.4f}" for x in row[:columns]) + f",{target(row)}" for row in rows]
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return targets


def write_stripes(folder):
    """28 x 28 images: which of ten stripes is bright is the class."""
    rng = random.Random(5)
    folder.mkdir()
    for part, count in ("train", 640), ("t10k", 64):
        labels = bytes(rng.randrange(10) for _ in range(count))
        pixels = bytearray()
        for label in labels:
            for y in range(28):
                pixels += bytes(rng.randrange(128) + 100 * (y * 10 // 28 == label) for _ in range(28))
        (folder / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">4B3I", 0, 0, 8, 3, count, 28, 28) + pixels)
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">4BI", 0, 0, 8, 1, count) + labels)


class Zoo(Case):
    def test_every_model_builds(self):
        """The list knows all files, and their parameters are the published ones."""
        listed = [json.loads(line) for line in self.cltrain("models", "--json").stdout.splitlines()]
        self.assertEqual({model["name"]: model["parameters"] for model in listed}, PARAMETERS)
        self.assertEqual({path.stem for path in (ROOT / "tools" / "models").glob("*.yaml")}, set(PARAMETERS))
        completion = (ROOT / "docs" / "cltrain.bash").read_text()
        known = re.search(r"models='([^']*)'", completion)[1].split()
        self.assertEqual(known, [model["name"] for model in listed])
        for model in listed:
            self.assertRegex(model["about"], r"^[A-Z].*[.:]$")
            self.assertIn(f"`{model['name']}`", (ROOT / "docs" / "model-files.md").read_text())

    def test_files(self):
        for name in PARAMETERS:
            source = (ROOT / "tools" / "models" / f"{name}.yaml").read_text()
            self.assertEqual(self.cltrain("models", name).stdout, source)
            self.assertIn(f"  name: {name}\n", source)
        self.assertIn("did you mean 'resnet20'", self.cltrain("models", "resnet21", code=2).stderr)

    def test_summary(self):
        for name, giga in GIGA_MACS.items():
            summary = json.loads(self.cltrain("summary", name, "--batch", "1", "--json").stdout)
            self.assertEqual(summary["parameters"], PARAMETERS[name])
            self.assertEqual(sum(layer["parameters"] for layer in summary["layers"]), PARAMETERS[name])
            self.assertAlmostEqual(summary["flops"] / 2e9 / giga, 1, delta=0.01)
        last = summary["layers"][-1]
        self.assertEqual((last["name"], last["output"], last["parameters"], last["flops"], last["bytes"]),
                         ("linear", [1, 10], 650, 1280, 40))
        self.assertEqual(json.loads(self.cltrain("summary", "inception_v1", "--batch", "1", "--json").stdout)
                         ["layers"][-3]["output"], [1, 1024])
        table = self.cltrain("summary", "resnet18", "--batch", "2").stdout
        self.assertRegex(table, r"layer2\.0\.downsample\.0 residual +\(2, 28, 28, 128\) +8,448 +12\.8 M +803 kB")
        self.assertIn("11,689,512 parameters and 9,600 other numbers; forward 3.63 GFLOPs", table)
        self.cltrain("summary", "resnet18", "--batch", "0", code=2)

    def test_summary_of_shared_layers(self):
        text = model(["{kind: conv2d, channels: 3, kernel: 1, name: a}",
                      "{kind: conv2d, channels: 3, kernel: 1, share: a}",
                      "{kind: conv_transpose2d, channels: 2, kernel: 2, stride: 2}"])
        (self.folder / "model.yaml").write_text(text)
        layers = json.loads(self.cltrain("summary", "model.yaml", "--json").stdout)["layers"]
        self.assertEqual([layer["parameters"] for layer in layers[:3]], [12, 0, 26])
        self.assertEqual([layer["flops"] for layer in layers[:3]], [2 * 64 * 9, 2 * 64 * 9, 2 * 64 * 24])

    def test_small_ones_learn(self):
        write_stripes(self.folder / "data")
        for name in SMALL:
            with self.subTest(name):
                lines = self.cltrain("train", name, "--data", "data", "--epochs", "6", "--batch", "32",
                                     "--json").stdout.splitlines()
                losses = [json.loads(line)["train_loss"] for line in lines[:6]]
                self.assertLess(losses[5], 0.8 * losses[0])
        for name in write_tables(self.folder):
            with self.subTest(name):
                lines = [json.loads(line) for line in self.cltrain(
                    "train", name, "--data", f"{name}.csv", "--epochs", "20", "--out", name, "--json").stdout.splitlines()]
                self.assertLess(lines[19]["train_loss"], 0.6 * lines[0]["train_loss"])
                has_classes = name in ("perceptron", "logistic_regression")
                score = json.loads(self.cltrain("eval", name, "--json").stdout)
                self.assertEqual(score["accuracy"] is not None, has_classes)
                if has_classes:
                    self.assertGreater(score["accuracy"], 0.9)
        shown = self.cltrain("train", "softmax_regression", "--data", "data", "--epochs", "1").stderr
        self.assertIn("7,850 parameters", shown)


def write_safetensors(path, arrays):
    """{name: (shape, numbers)}, as PyTorch's users write them."""
    header, data = {}, b""
    for name, (shape, numbers) in arrays.items():
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + 4 * len(numbers)]}
        data += struct.pack(f"<{len(numbers)}f", *numbers)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def read_safetensors(path):
    content = path.read_bytes()
    length, = struct.unpack("<Q", content[:8])
    header = json.loads(content[8:8 + length])
    return {name: struct.unpack(f"<{(about['data_offsets'][1] - about['data_offsets'][0]) // 4}f",
                                content[8 + length + about["data_offsets"][0]:8 + length + about["data_offsets"][1]])
            for name, about in header.items() if name != "__metadata__"}


TRANSFER = """model:
  name: transfer
  input: [28, 28, 1]
  classes: 10
  layers:
    - {kind: max_pool2d, size: 7}
    - {kind: conv2d, channels: 4, kernel: 3x2, groups: 1, name: a}
    - {kind: conv2d, channels: 6, kernel: 1, groups: 2, name: b}
    - {kind: conv_transpose2d, channels: 4, kernel: 2x1, groups: 2, name: t}
    - {kind: flatten}
    - {kind: relu}
    - {kind: linear, units: 5, name: c}
    - {kind: linear, units: 10, name: d}
training: {optimizer: sgd, momentum: 0, lr: 1e-30, epochs: 1, batch: 32}
"""
# PyTorch's shapes of its weights: (O, I / groups, KH, KW), (I, O / groups, KH, KW), (O, I).
FOREIGN = {"a.weight": (4, 1, 3, 2), "b.weight": (6, 2, 1, 1), "t.weight": (6, 2, 2, 1), "c.weight": (5, 36),
           "d.weight": (10, 5), "a.bias": (4,), "b.bias": (6,), "t.bias": (4,), "c.bias": (5,), "d.bias": (10,)}


def expected(name, values):
    """PyTorch's numbers in this project's order, written down independently of the tool."""
    shape = FOREIGN[name]
    if len(shape) == 4:
        first, second, height, width = shape
        return tuple(values[((o * second + i) * height + y) * width + x]
                     for y in range(height) for x in range(width) for i in range(second) for o in range(first))
    if name == "c.weight":  # behind a flattened image of 3 rows, 3 columns, 4 channels
        return tuple(values[o * 36 + channel * 9 + y * 3 + x]
                     for y in range(3) for x in range(3) for channel in range(4) for o in range(5))
    if len(shape) == 2:
        return tuple(values[o * shape[1] + i] for i in range(shape[1]) for o in range(shape[0]))
    return values


class Transfer(Case):
    def setUp(self):
        super().setUp()
        write_stripes(self.folder / "data")
        (self.folder / "model.yaml").write_text(TRANSFER)
        rng = random.Random(7)
        self.arrays = {name: tuple(struct.unpack("<f", struct.pack("<f", rng.uniform(-0.5, 0.5)))[0]
                                   for _ in range(math.prod(shape))) for name, shape in FOREIGN.items()}
        write_safetensors(self.folder / "pt.safetensors",
                          {name: (FOREIGN[name], values) for name, values in self.arrays.items()})

    def train(self, out, *more, code=0):
        return self.cltrain("train", "model.yaml", "--data", "data", "--out", out, *more, code=code)

    def weights(self, run):
        """Of a run, without the counters of the trainer."""
        latest = (self.folder / run / "checkpoints" / "latest").read_text().strip()
        found = read_safetensors(self.folder / run / "checkpoints" / latest)
        return {name: found[name] for name in FOREIGN}

    def test_pytorch_layout(self):
        shown = self.train("run", "--init-from", "pt.safetensors").stderr
        self.assertIn("10 variables from pt.safetensors (PyTorch's layout), 0 start anew", shown)
        for name, values in self.weights("run").items():
            self.assertEqual(values, expected(name, self.arrays[name]), name)

    def test_fine_tuning(self):
        self.train("first", "--init-from", "pt.safetensors")
        self.assertIn("(our layout), 2 start anew",
                      self.train("second", "--init-from", "first", "--fresh", "d.*", "--freeze", "[ab].* t.*",
                                 "--lr", "0.1").stderr)
        before, after = self.weights("first"), self.weights("second")
        for name in FOREIGN:
            self.assertEqual(before[name] == after[name], name[0] in "abt", name)
        (self.folder / "model.yaml").write_text(TRANSFER[:-2] + ", lr_factors: 'c.*=1e-30 d.*=2'}\n")
        self.train("third", "--init-from", "first", "--lr", "0.1")
        after = self.weights("third")
        for name in FOREIGN:
            self.assertEqual(before[name] == after[name], name[0] == "c", name)

    def test_refused(self):
        for more, expected_message in (
                (["--freeze", "q*"], r"no trained variable is called 'q\*'"),
                (["--init-from", "nothing"], r"init_from: .*nothing"),
                (["--init-from", "pt.safetensors", "--fresh", "d.* zz*"], r"no trained variable is called 'zz\*'"),
                (["--fresh", "d.*"], "everything starts anew without init_from"),
                (["--init-from", "model.yaml"], r"init_from: ")):
            slip = "--freeze" in more or "--fresh" in more  # of the option; a file that does not fit is input
            self.assertRegex(self.train("run", *more, code=2 if slip else 3).stderr, expected_message)
        (self.folder / "model.yaml").write_text(TRANSFER.replace("units: 5,", "units: 7,"))
        self.assertRegex(self.train("run", "--init-from", "pt.safetensors", code=3).stderr,
                         r"'c.weight' is \(5, 36\), but the model needs \(7, 36\); 'fresh: c.weight' lets it")
        (self.folder / "model.yaml").write_text(TRANSFER.replace("name: d", "name: dd"))
        self.assertRegex(self.train("run", "--init-from", "pt.safetensors", code=3).stderr,
                         r"has no 'dd.weight' \(10, 5\); 'fresh: dd.weight' lets it start anew")
        (self.folder / "model.yaml").write_text(TRANSFER[:-2] + ", lr_factors: 'c.*'}\n")
        self.assertRegex(self.train("run", code=3).stderr, r"'c.\*' is not a pattern and a positive factor")
        self.assertFalse((self.folder / "run").exists())

    def test_penalties(self):
        """l1, activity_l1 and label smoothing are in the loss of the training and in no other."""
        def losses(out, text):
            (self.folder / "model.yaml").write_text(text)
            line = json.loads(self.train(out, "--init-from", "pt.safetensors", "--json").stdout.splitlines()[0])
            return line["train_loss"], line["val_loss"]
        plain = losses("plain", TRANSFER)
        weights = sum(abs(x) for name, values in self.arrays.items() if "weight" in name for x in values)
        cases = {"l1": TRANSFER[:-2] + ", l1: 0.01}\n", "smooth": TRANSFER[:-2] + ", label_smoothing: 0.5}\n",
                 "activity": TRANSFER.replace("units: 10,", "units: 10, activity_l1: 0.25,")}
        found = {name: losses(name, text) for name, text in cases.items()}
        for name in cases:
            self.assertAlmostEqual(found[name][1], plain[1], places=5)
            self.assertNotAlmostEqual(found[name][0], plain[0], places=3)
        self.assertAlmostEqual(found["l1"][0] - plain[0], 0.01 * weights, places=3)
        self.assertGreater(found["activity"][0], plain[0])

    def test_early_stopping(self):
        (self.folder / "model.yaml").write_text(TRANSFER[:-2] + ", patience: 2, validation: 0.5}\n")
        result = self.train("run", "--lr", "4", "--epochs", "40", "--json")
        epochs = [json.loads(line) for line in result.stdout.splitlines()]
        losses = [epoch["val_loss"] for epoch in epochs[:-1]]
        self.assertLess(len(losses), 40)
        best = losses.index(min(losses))
        self.assertEqual(len(losses) - 1 - best, 2)
        self.assertIn(f"those of epoch {best + 1}", result.stderr)
        best_file = (self.folder / "run" / "checkpoints" / "best").read_text().strip()
        kept = read_safetensors(self.folder / "run" / "checkpoints" / best_file)
        self.assertEqual(self.weights("run"), {name: kept[name] for name in FOREIGN})


# Kind and options, shape of what it learns and what that is at first; all get 6 channels.
LEARNED = [
    ("{kind: prelu, name: p1}", "p1.weight", 1, 0.25),
    ("{kind: prelu, name: p6, per_channel: true, a: 0.5}", "p6.weight", 6, 0.5),
    ("{kind: swish_learned, name: s6, per_channel: true}", "s6.beta", 6, 1),
    ("{kind: soft_exponential, name: e1, a: 0.125}", "e1.a", 1, 0.125),
    ("{kind: apl, name: a3, pieces: 3}", "a3.a", 18, 0),
]
PLAIN = ["{kind: brelu}", "{kind: rrelu, lower: 0.1, upper: 0.3}", "{kind: softmax}", "{kind: log_softmax}"]


class Activations(Case):
    def train(self, rate):
        branches = "".join(f"        - {layer}\n" for layer in [row[0] for row in LEARNED] + PLAIN)
        (self.folder / "model.yaml").write_text(
            "model:\n  name: activations\n  input: [4]\n  classes: 2\n  layers:\n"
            "    - {kind: linear, units: 6}\n    - kind: branches\n      layers:\n" + branches +
            "    - {kind: linear, units: 2}\n"
            f"training: {{optimizer: sgd, momentum: 0, lr: {rate}, batch: 64, epochs: 1, gradient_norms: false}}\n")
        run = f"run{rate}"
        loss = json.loads(self.cltrain("train", "model.yaml", "--data", "t.csv", "--out", run, "--json")
                          .stdout.splitlines()[0])["train_loss"]
        self.assertTrue(math.isfinite(loss))
        latest = (self.folder / run / "checkpoints" / "latest").read_text().strip()
        return read_safetensors(self.folder / run / "checkpoints" / latest)

    def test_learned(self):
        """They start where they are said to, and every number of theirs learns."""
        rng = random.Random(2)
        (self.folder / "t.csv").write_text("".join(
            ",".join(f"{rng.uniform(-2, 2):.3f}" for _ in range(4)) + f",{i % 2}\n" for i in range(64)))
        before, after = self.train(1e-30), self.train(0.1)
        for layer, name, count, start in LEARNED:
            with self.subTest(layer):
                self.assertEqual(len(before[name]), count)
                for x, y in zip(before[name], after[name]):
                    self.assertAlmostEqual(x, start, places=6)
                    self.assertNotEqual(x, y)
        width = sum(6 for _ in LEARNED + PLAIN)
        self.assertEqual(len(after["linear2.weight"]), 2 * width)

    def test_mistakes(self):
        for layer, message in (("{kind: rrelu, lower: 0.5, upper: 0.1}", "0 <= lower <= upper"),
                               ("{kind: prelu, b: 1}", "no option 'b'"), ("{kind: apl, pieces: 0}", "pieces must be"),
                               ("{kind: prelo}", "did you mean 'prelu'"), ("{kind: mishh}", "did you mean 'mish'")):
            self.assertIn(message, self.graph(model([layer]), code=3).stderr)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]], verbosity=2)
