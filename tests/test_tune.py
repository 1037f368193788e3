"""Drives cltrain tune as people do: what it prints and writes, what it leaves alone, signals.

usage: test_tune.py CLTRAIN [TEST...]

Only what is quick to measure is tuned; which value wins is the machine's business.
"""
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

CLTRAIN = str(pathlib.Path(sys.argv[1]).resolve())
FOREIGN = {"platform": "p", "device": "d", "driver": "1", "choices": {"matmul.tile": "8x3"}}


class Tune(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = pathlib.Path(folder.name) / "config" / "tuning.json"

    def start(self, *arguments, **variables):
        environment = {**os.environ, "CLGRAD_TUNING_FILE": str(self.file), "CLGRAD_ENGINE": "cpu", **variables}
        return subprocess.Popen([CLTRAIN, "tune", *arguments], env=environment, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def tune(self, *arguments, code=0, **variables):
        process = self.start(*arguments, **variables)
        out, notes = process.communicate(timeout=300)
        self.assertEqual(process.returncode, code, notes)
        return out, notes

    def write(self, text):
        self.file.parent.mkdir()
        self.file.write_text(text)

    def choices(self):
        devices = json.loads(self.file.read_text())["devices"]
        return [entry["choices"] for entry in devices if entry != FOREIGN]

    def test_what_wins_is_written(self):
        self.write(json.dumps({"format": "clgrad tuning", "version": 1, "devices": [FOREIGN]}))
        rows = [json.loads(line) for line in self.tune("pointwise", "--json")[0].splitlines()]
        self.assertEqual([(row["tunable"], row["class"]) for row in rows], [("pointwise.share", "all")])
        tried = rows[0]["tried"]
        self.assertIn("4096", tried)
        self.assertTrue(all(0.01 < speed < 100 for speed in tried.values()), tried)
        won = rows[0]["value"]
        self.assertTrue(won is None or rows[0]["speedup"] > 1.03, rows)
        self.assertEqual(self.choices(), [{"pointwise.share": won} if won else {}])
        self.assertIn(FOREIGN, json.loads(self.file.read_text())["devices"])
        listed = [json.loads(line) for line in self.tune("--list", "--json", "pointwise")[0].splitlines()]
        self.assertEqual((listed[0]["value"], listed[0]["source"]), (won, "user" if won else "judged"))

    def test_every_value_is_measured(self):
        """Also on problems that are fed, as products are."""
        out, notes = self.tune("matmul.tile", "pointwise.share", "--dry-run", "--json")
        for row in map(json.loads, out.splitlines()):
            self.assertGreater(len(row["tried"]), 1, row)
        self.assertNotIn("left out", notes)

    def test_what_was_not_named_stays(self):
        self.tune("pointwise")
        content = json.loads(self.file.read_text())
        content["devices"][0]["choices"] = {"matmul.tile": "8x3", "pointwise.share": "1024"}
        self.file.write_text(json.dumps(content))
        self.tune("pointwise", "--dry-run")
        self.assertEqual(self.choices(), [{"matmul.tile": "8x3", "pointwise.share": "1024"}])
        self.tune("pointwise")
        self.assertEqual(self.choices()[0]["matmul.tile"], "8x3")

    def test_what_the_environment_says_is_left_alone(self):
        out, notes = self.tune("pointwise.share", CLGRAD_TUNING="pointwise.share=2048")
        self.assertEqual(out, "")
        self.assertIn("left alone", notes)
        out, _ = self.tune("--list", "pointwise", CLGRAD_TUNING="pointwise.share=2048")
        self.assertRegex(out, r"pointwise.share +all +2048 +environment")

    def test_wrong_requests_are_refused_at_once(self):
        self.assertIn("did you mean 'matmul.tile'", self.tune("matmul.tle", code=2)[1])
        self.assertIn("exclude", self.tune("--fast", "--full", code=2)[1])
        self.write("precious")
        self.assertIn("not replaced", self.tune("matmul", code=3)[1])
        self.assertEqual(self.file.read_text(), "precious")
        self.assertIn("turned off", self.tune("matmul", code=3, CLGRAD_TUNING_FILE="")[1])
        self.assertIn("directory", self.tune("matmul", code=1, CLGRAD_TUNING_FILE="/proc/none/tuning.json")[1])

    def test_a_signal_leaves_the_file_alone(self):
        self.write(json.dumps({"format": "clgrad tuning", "version": 1, "devices": [FOREIGN]}))
        before = self.file.read_text()
        process = self.start("--full", "matmul.blocks")
        process.stderr.readline()  # the device: from now on it measures
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130)
        self.assertEqual(self.file.read_text(), before)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[1:])
