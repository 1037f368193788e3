"""What goes wrong around a training: files that cannot be written, signals, slips on the command line.

usage: test_mishaps.py CLTRAIN [TEST...]
"""
import os
import pathlib
import signal
import stat
import subprocess
import sys
import threading
import unittest

sys.dont_write_bytecode = True  # leaves nothing in the source folder
from test_cltrain import CLTRAIN, Case

TABLE = """model:
  name: table
  input: [2]
  classes: 3
  layers:
    - {kind: standardize}
    - {kind: linear, units: 3}
training: {optimizer: sgd, lr: 0.1, batch: 16, epochs: 3, validation: 0.2, gradient_norms: false}
"""


class Tables(Case):
    def setUp(self):
        super().setUp()
        self.write("".join(f"{i % 3 + i / 100},{-(i % 3)},{'abc'[i % 3]}\n" for i in range(90)), "t.csv")
        self.write(TABLE)

    def train(self, *more, code=0):
        return self.cltrain("train", "model.yaml", "--data", "t.csv", *more, code=code)

    def checkpoints(self, run):
        return sorted(path.name for path in (self.folder / run / "checkpoints").glob("*.safetensors"))


class Results(Tables):
    """Where results go: only plain files are replaced."""

    def page_through_pipe(self, *arguments):
        """What a command writes into the pipe `pipe`, which must still be one afterwards."""
        pipe, read = self.folder / "pipe", []
        os.mkfifo(pipe)
        # Opened for writing, too: nobody waits for the other side, whatever the program does.
        keeper = os.open(pipe, os.O_RDWR)
        reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
        reader.start()
        self.cltrain(*arguments)
        os.close(keeper)
        reader.join(60)
        self.assertTrue(stat.S_ISFIFO(pipe.lstat().st_mode))
        return read[0].decode()

    def test_pipe(self):
        self.train("--out", "run", "--epochs", "1")
        self.assertIn("</html>", self.page_through_pipe("compare", "run", "--out", "pipe"))
        self.assertFalse(list(self.folder.glob("pipe?*")))

    def test_links(self):
        self.train("--out", "run", "--epochs", "1")
        (self.folder / "there").mkdir()
        self.write("old", "there/page.html")
        (self.folder / "page.html").symlink_to("there/page.html")
        (self.folder / "new.html").symlink_to("there/new.html")
        for name in "page.html", "new.html":
            self.cltrain("compare", "run", "--out", name)
            self.assertTrue((self.folder / name).is_symlink())
            self.assertIn("</html>", (self.folder / "there" / name).read_text())
        self.assertEqual(len(list((self.folder / "there").iterdir())), 2)


class Decorations(Tables):
    """Files for people cannot be written: folders have their names."""
    NAMES = "loss.svg", "report.html", "events.out.tfevents.cltrain"

    def test_training_goes_on(self):
        for name in self.NAMES:
            (self.folder / "run" / name).mkdir(parents=True)
        warnings = self.train("--out", "run").stderr
        for name in self.NAMES:
            self.assertEqual(len([line for line in warnings.splitlines() if name in line]), 1, warnings)
        self.assertEqual(warnings.count("cltrain: warning: "), len(self.NAMES))
        self.assertNotIn("error", warnings)
        self.assertEqual(len(self.checkpoints("run")), 3)
        (self.folder / "run" / "loss.svg").rmdir()
        self.cltrain("train", "--resume", "run", "--epochs", "4")
        self.assertIn("</svg>", (self.folder / "run" / "loss.svg").read_text())

    def test_an_epoch_without_a_record_is_kept(self):
        metrics = self.folder / "run" / "metrics.jsonl"
        metrics.mkdir(parents=True)
        self.assertIn("metrics.jsonl", self.train("--out", "run", code=1).stderr)
        self.assertEqual(len(self.checkpoints("run")), 1)
        metrics.rmdir()
        self.assertIn("epoch 2", self.cltrain("train", "--resume", "run").stderr)
        self.assertEqual(len(metrics.read_text().splitlines()), 2)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]], verbosity=2)
