"""What goes wrong around a training: files that cannot be written, signals, slips on the command line.

usage: test_mishaps.py CLTRAIN [TEST...]
"""
import os
import signal
import stat
import subprocess
import sys
import threading
import unittest
import zipfile

sys.dont_write_bytecode = True  # leaves nothing in the source folder
from tables import TABLE, Tables
from test_cltrain import CLTRAIN


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
        warnings = self.train("--out", "run", "--epochs", "3").stderr
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
        self.assertIn("metrics.jsonl", self.train("--out", "run", "--epochs", "3", code=1).stderr)
        self.assertEqual(len(self.checkpoints("run")), 1)
        metrics.rmdir()
        self.assertIn("epoch 2", self.cltrain("train", "--resume", "run").stderr)
        self.assertEqual(len(metrics.read_text().splitlines()), 2)


class Stopping(Tables):
    def test_closed_terminal(self):
        """As Ctrl-C; but who started it with nohup wants it to go on."""
        for ignored, code in ((False, 128 + signal.SIGHUP), (True, 128 + signal.SIGTERM)):
            with self.subTest(ignored=ignored):
                run = self.folder / f"run{ignored}"
                action = signal.SIG_IGN if ignored else signal.SIG_DFL  # not what this test was started with
                process = subprocess.Popen(
                    [CLTRAIN, "train", "model.yaml", "--data", "t.csv", "--out", run, "--epochs", "1000000", "--json"],
                    cwd=self.folder, preexec_fn=lambda a=action: signal.signal(signal.SIGHUP, a),
                    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
                self.addCleanup(process.kill)
                process.stdout.readline()
                process.send_signal(signal.SIGHUP)
                if ignored:
                    process.stdout.readline()
                    process.send_signal(signal.SIGTERM)
                process.communicate(timeout=60)
                self.assertEqual(process.returncode, code)
                self.assertTrue(self.checkpoints(run))

    def test_what_a_killed_process_left(self):
        self.train("--out", "run")
        left = [self.folder / "run" / name for name in
                ("loss.svg.tmp-fdcbe5", "report.html.temporary", "checkpoints/step-1.safetensors.tmp-012345")]
        for path in left:
            path.write_text("half")
        (self.folder / "run" / "notes.tmp-mine").write_text("not ours")
        self.cltrain("train", "--resume", "run")
        self.assertFalse([path for path in left if path.exists()])
        self.assertTrue((self.folder / "run" / "notes.tmp-mine").exists())

    def test_fewer_epochs(self):
        self.train("--out", "run", "--epochs", "3")
        config = (self.folder / "run" / "config.yaml").read_text()
        self.assertIn("--epochs 1: run is in its epoch 3 already",
                      self.cltrain("train", "--resume", "run", "--epochs", "1", code=2).stderr)
        self.assertEqual((self.folder / "run" / "config.yaml").read_text(), config)
        self.assertEqual(len((self.folder / "run" / "metrics.jsonl").read_text().splitlines()), 3)


class Slips(Tables):
    """Options that are wrong are named as they were typed, and are wrong usage."""

    def test_options(self):
        self.train("--out", "run", "--epochs", "1")
        for arguments, message in (
                (["--resume", "run", "--weight-decay", "1"], "--weight-decay cannot change"),
                (["--freeze", "nothing*"], "error: --freeze: no trained variable is called 'nothing*'"),
                (["--fresh", "x"], "error: --fresh: "),
                (["--lr", "0x10"], "--lr takes a number in 0 .. 1000000, not '0x10'"),
                (["--epochs", " 1"], "--epochs takes a whole number"),
                (["--out", ""], "--out takes the name of a folder, which '' is not"),
                (["--data", ""], "--data takes the name of a file"),
                (["--init-from", ""], "--init-from takes the name of a file")):
            with self.subTest(arguments):
                model = [] if "--resume" in arguments else ["model.yaml"]
                self.assertIn(message, self.cltrain("train", *model, "--data", "t.csv", *arguments, code=2).stderr)
        self.assertIn("info and clear", self.cltrain("cache", "blah", code=2).stderr)

    def test_the_file_is_still_blamed_for_its_own(self):
        self.write(TABLE.replace("lr: 0.1", "lr: 0.1, freeze: 'nothing*'"), "frozen.yaml")
        self.assertIn("frozen.yaml:8:", self.cltrain("train", "frozen.yaml", "--data", "t.csv", code=3).stderr)

    def test_a_run_directory_that_cannot_be(self):
        """Found before the device is opened, and nothing is made."""
        self.write("", "file")
        (self.folder / "taken").mkdir()
        self.write("", "taken/config.yaml")
        for out, message, code in (("file", "file: Not a directory", 1), ("file/below/run", "Not a directory", 1),
                                   ("taken", "already holds a run", 2)):
            with self.subTest(out):
                errors = self.train("--out", out, code=code).stderr
                self.assertIn(message, errors)
                self.assertNotIn("Device", errors)
                self.assertNotIn("warning", errors)
        self.cltrain("train", "model.yaml", "--data", "missing.csv", "--out", "new/run", code=3)
        self.assertFalse((self.folder / "new").exists())


class Inputs(Tables):
    def test_second_document(self):
        self.write(TABLE + "---\n" + TABLE, "two.yaml")
        self.assertIn("two.yaml:9:1: a second document", self.cltrain("summary", "two.yaml", code=3).stderr)
        self.write("---\n" + TABLE + "...\n", "one.yaml")
        self.cltrain("summary", "one.yaml")

    def test_no_text(self):
        self.write(TABLE.replace("name: table", 'name: "a\\0b"'))
        self.assertIn("model.yaml:2:9: 'name' takes a word", self.cltrain("summary", "model.yaml", code=3).stderr)
        self.write(TABLE.replace("lr: 0.1", "lr: 0x10"))
        self.assertIn("'lr' takes a number, not '0x10'", self.cltrain("summary", "model.yaml", code=3).stderr)

    def test_tables(self):
        self.write("a,b,a\n1,2,x\n2,3,y\n", "twice.csv")
        self.assertIn("twice.csv, line 1: columns 1 and 3 are both called 'a'",
                      self.cltrain("train", "model.yaml", "--data", "twice.csv", code=3).stderr)
        self.write("1,2,x\n", "one.csv")
        self.assertIn("one.csv: a single sample is left, of which no test part",
                      self.cltrain("train", "model.yaml", "--data", "one.csv", code=3).stderr)

    def test_other_data(self):
        """Drawn digits are no table, whatever the run's data was."""
        self.train("--out", "run", "--epochs", "1")
        for command in "eval", "landscape":
            self.assertIn("the built-in digits have 10 classes, not 3",
                          self.cltrain(command, "run", "--data", "builtin", code=3).stderr)

    def test_nothing_in_it(self):
        with zipfile.ZipFile(self.folder / "empty.npz", "w"):
            pass
        self.assertIn("empty.npz has no arrays in it",
                      self.cltrain("train", "model.yaml", "--data", "empty.npz", code=3).stderr)
        self.write("", "empty.txt")
        self.assertIn("0 tokens, and one sample takes 2",
                      self.cltrain("word2vec", "empty.txt", code=3).stderr)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]], verbosity=2)
