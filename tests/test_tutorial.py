"""Goes through the tutorial as a reader would: runs its commands, compares what they print, checks its claims.

usage: test_tutorial.py CLTRAIN [TEST...]

Each page has a folder of its own and starts with nothing. Blocks of the pages mean:
  sh        run from top to bottom, with bash; a command that fails fails the test
  text      what the block before printed: each line must have come, with any numbers; "..." skips some
  console   commands that take longer: not run, but their options and models must exist
  yaml      lines of a model that ships, or of a file that the page writes
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import unittest
import xml.dom.minidom

CLTRAIN = pathlib.Path(sys.argv[1]).resolve()
FOLDER = pathlib.Path(__file__).resolve().parent.parent / "docs" / "tutorial"
PAGES = sorted(FOLDER.glob("[0-9]*.md"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
NUMBER = re.compile(r"[-+]?\d[\d,]*(\.\d+)?(e[-+]?\d+)?|\bnan\b")
MAX_PICTURE = 30 << 10


def blocks(page):
    """(language, text) of the page's code blocks."""
    return [match.groups() for match in BLOCK.finditer(page.read_text(encoding="utf-8"))]


def ask(*arguments):
    return subprocess.run([CLTRAIN, *arguments], check=True, capture_output=True, text=True).stdout


def models():
    return [line.split()[0] for line in ask("models").splitlines()[1:]]


def shape_of(line):
    """The line with every number as # and every gap as one blank."""
    return " ".join(NUMBER.sub("#", line).split())


class Run:
    """What a page's runs left in its folder."""

    def __init__(self, folder):
        self.folder = folder

    def records(self, run):
        text = (self.folder / "runs" / run / "metrics.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def last(self, run):
        return self.records(run)[-1]

    def score(self, run):
        return json.loads(subprocess.run([CLTRAIN, "eval", f"runs/{run}", "--json"], cwd=self.folder, check=True,
                                         capture_output=True, text=True).stdout)


class Claims:
    """What the pages say about their results, page by page: the part of the file's name behind the number."""

    @staticmethod
    def perceptron(test, run):
        for name, least in ("perceptron", 0.8), ("logistic", 0.85), ("softmax", 0.75):
            test.assertGreater(run.score(name)["accuracy"], least, name)

    @staticmethod
    def approximation(test, run):
        errors = [run.score(units)["rmse"] for units in ("1", "4", "64")]
        test.assertTrue(errors[0] > 2 * errors[1] > 4 * errors[2], errors)

    @staticmethod
    def gradients(test, run):
        ratios = {}
        for name in "sigmoid", "relu", "batch_norm":
            norms = [norm for key, norm in run.last(name)["gradient_norms"].items()
                     if re.fullmatch(r"hidden\.\d+\.linear\.weight", key)]
            test.assertEqual(len(norms), 10)
            ratios[name] = norms[0] / norms[-1]
        test.assertLess(ratios["sigmoid"], 1e-4)
        test.assertTrue(0.1 < ratios["relu"] < 30 and 0.1 < ratios["batch_norm"] < 30, ratios)
        test.assertLess(run.last("sigmoid")["val_accuracy"], 0.2)
        test.assertGreater(run.last("relu")["val_accuracy"], 0.8)

    @staticmethod
    def optimizers(test, run):
        losses = {folder.name: run.last(folder.name)["train_loss"] for folder in (run.folder / "runs").iterdir()}
        test.assertLess(losses["sgd-0.1"], losses["sgd-0.01"])
        test.assertLess(losses["adam-0.001"], losses["adam-0.1"])

    @staticmethod
    def regularization(test, run):
        plain = [record["val_loss"] for record in run.records("plain")]
        test.assertGreater(plain[-1], min(plain) * 1.05)
        test.assertLess(run.last("plain")["train_loss"], 0.1)
        test.assertLess(len(run.records("stopped")), len(plain))
        test.assertLess(run.last("dropout")["val_loss"], plain[-1])
        test.assertGreater(run.score("augmented")["accuracy"], run.score("plain")["accuracy"] + 0.05)

    @staticmethod
    def convolution(test, run):
        test.assertGreater(run.score("lenet5")["accuracy"], run.score("mlp")["accuracy"] + 0.05)

    @staticmethod
    def residual_nets(test, run):
        test.assertGreater(run.last("small")["val_accuracy"], 0.8)
        test.assertLess(run.last("plain")["val_accuracy"], 0.6)

    @staticmethod
    def transfer(test, run):
        scratch = run.score("scratch")["accuracy"]
        for way in "head", "part", "slow":
            test.assertGreater(run.score(way)["accuracy"], scratch, way)

    @staticmethod
    def autoencoders(test, run):
        test.assertLess(run.score("deep")["loss"], 0.8 * run.score("linear")["loss"])
        for name, least in ("deep.png", 10000), ("codes.npy", 2000 * 32 * 4):
            test.assertGreater((run.folder / name).stat().st_size, least, name)

    @staticmethod
    def recurrent_nets(test, run):
        test.assertLess(run.last("recall-lstm")["val_loss"], 0.33)
        test.assertGreater(run.last("recall-rnn")["val_loss"], run.last("recall-lstm")["val_loss"] + 0.02)


class Tutorial(unittest.TestCase):
    def go_through(self, page):
        """Runs the page's commands; the folder and what each of them printed."""
        environment = {**os.environ, "PATH": f"{CLTRAIN.parent}:{os.environ['PATH']}"}
        with tempfile.TemporaryDirectory() as name:
            output, start = [], time.monotonic()
            for language, text in blocks(page):
                if language == "sh":
                    result = subprocess.run(["bash", "-euo", "pipefail", "-c", text], cwd=name, text=True,
                                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment,
                                            timeout=300)
                    self.assertEqual(result.returncode, 0, f"{page.name}:\n{text}\n{result.stdout}")
                    output = [shape_of(line) for line in result.stdout.splitlines()]
                if language == "text":
                    for line in text.splitlines():
                        self.assertTrue(line == "..." or shape_of(line) in output,
                                        f"{page.name}: not printed: {line}\n" + "\n".join(output))
            claims = getattr(Claims, page.stem.split("-", 1)[1].replace("-", "_"), None)
            if claims:
                claims(self, Run(pathlib.Path(name)))
            print(f"{page.name}: {time.monotonic() - start:.1f} s", flush=True)

    def test_longer_commands(self):
        """Commands that are only shown: do their subcommands, options and models exist?"""
        for page in PAGES:
            text = "\n".join(text for language, text in blocks(page) if language == "console")
            for words in (line[2:].split() for line in text.splitlines() if line.startswith("$ cltrain ")):
                known = set(re.findall(r"^ *(--[a-z-]+)", ask(words[1], "--help"), re.M))
                self.assertLessEqual({word for word in words if word.startswith("--")}, known, f"{page.name}: {words}")
                if words[1] == "train" and not words[2].startswith("-") and "." not in words[2]:
                    self.assertIn(words[2], models(), f"{page.name}: {words}")

    def test_lines_of_model_files(self):
        shipped = {line.strip() for name in models() for line in ask("models", name).splitlines()}
        for page in PAGES:
            written = {line.strip() for language, text in blocks(page) if language == "sh" for line in text.splitlines()}
            for language, text in blocks(page):
                if language == "yaml":
                    self.assertLessEqual({line.strip() for line in text.splitlines()}, shipped | written, page.name)

    def test_links(self):
        for page in [*PAGES, FOLDER / "README.md"]:
            for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
                if "://" not in target:
                    self.assertTrue((FOLDER / target).exists(), f"{page.name}: {target}")
        index = (FOLDER / "README.md").read_text(encoding="utf-8")
        for page in PAGES:
            self.assertIn(f"({page.name})", index)

    def test_pictures(self):
        pages = "".join(page.read_text(encoding="utf-8") for page in PAGES)
        for picture in FOLDER.glob("*.svg"):
            xml.dom.minidom.parse(str(picture))
            self.assertLess(picture.stat().st_size, MAX_PICTURE, picture.name)
            self.assertIn(f"({picture.name})", pages)


for number, path in enumerate(PAGES, 1):
    setattr(Tutorial, f"test_page_{path.stem.replace('-', '_')}", lambda self, path=path: self.go_through(path))

if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]], verbosity=2)
