"""What cltrain does with texts, from outside: character models and the text that they write.

usage: test_sequence_tools.py CLTRAIN [TEST...]
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

CLTRAIN = str(pathlib.Path(sys.argv[1]).resolve())

# Each character is followed by the next one of the alphabet, so that there is one right answer.
ALPHABET = "abcdeé\n"
MODEL = """model:
  name: tiny
  input: [12]
  classes: {classes}
  layers:
    - {{kind: embedding, units: 8}}
    - {{kind: {kind}, units: 16, repeat: 2}}
    - {{kind: linear, units: {classes}}}
data: {{path: text.txt, words: {words}}}
training: {{epochs: 8, batch: 8, lr: 0.02, validation: 0.1, clip_norm: 1, gradient_norms: false}}
"""


class Case(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self.temporary.name)

    def tearDown(self):
        self.temporary.cleanup()

    def cltrain(self, *arguments, code=0):
        result = subprocess.run([CLTRAIN, *map(str, arguments)], cwd=self.folder, capture_output=True, timeout=300)
        result.stdout, result.stderr = result.stdout.decode(), result.stderr.decode(errors="replace")
        self.assertEqual(result.returncode, code, f"{arguments}\n{result.stdout}\n{result.stderr}")
        return result

    def write(self, name, text):
        (self.folder / name).write_text(text, encoding="utf-8")
        return name

    def train(self, kind="lstm", classes=9, words="false", text=ALPHABET * 300):
        self.write("text.txt", text)
        self.write("model.yaml", MODEL.format(kind=kind, classes=classes, words=words))
        return self.cltrain("train", "model.yaml", "--out", "run")


class Characters(Case):
    def test_writing(self):
        """A run learns the alphabet, says so in nats and perplexity, and writes it."""
        output = self.train().stdout
        self.assertRegex(output, r"validation loss 0\.\d+, perplexity 1\.\d+, accuracy")
        greedy = self.cltrain("sample", "run", "--temperature", 0, "--length", 30, "--prompt", "bc").stdout
        self.assertEqual(greedy, "bc" + (ALPHABET * 6)[3:33] + "\n")
        from_line = self.cltrain("sample", "run", "--temperature", "0", "--length", "4").stdout
        self.assertEqual(from_line, "abcd\n")
        long = self.cltrain("sample", "run/checkpoints", "--temperature", 0, "--length", 200, "--json").stdout
        self.assertEqual(json.loads(long)["text"], (ALPHABET * 30)[:200])

        hot = [self.cltrain("sample", "run", "--temperature", 5, "--length", 60, "--seed", seed).stdout
               for seed in (3, 3, 4)]
        self.assertEqual(hot[0], hot[1])
        self.assertNotEqual(hot[0], hot[2])
        self.assertGreater(sum(a + b not in ALPHABET * 2 for a, b in zip(hot[0], hot[0][1:])), 5)
        self.assertLessEqual(set(hot[0]), set(ALPHABET))  # classes that no character has are never drawn

        for arguments, code, message in (
                (["run", "--prompt", "abZ"], 2, "character 3, 'Z', is not in the vocabulary"),
                (["run", "--temperature", "-1"], 2, "0 .. 100, not '-1'"),
                (["run", "--temperature", "hot"], 2, "not 'hot'"),
                (["run", "--temperature", "nan"], 2, "not 'nan'"),
                (["run", "--length", "0"], 2, "1 or more"),
                ([], 2, "which run"), (["nothing"], 3, "nothing")):
            with self.subTest(arguments):
                self.assertIn(message, self.cltrain("sample", *arguments, code=code).stderr)
        for broken in ('{"format": "text", "words": false, "classes": []}',
                       '{"format": "text", "words": false, "classes": [1, 2]}', "{", "",
                       json.dumps({"format": "text", "words": False, "classes": [chr(97 + i) for i in range(20)]})):
            self.write("run/data.json", broken)
            self.cltrain("sample", "run", code=3)

    def test_one_state(self):
        """Layers with one state instead of two."""
        self.train("rnn")
        text = self.cltrain("sample", "run", "--temperature", 0, "--length", 20, "--prompt", "ab").stdout
        self.assertEqual(text, (ALPHABET * 4)[:22] + "\n")

    def test_few_classes(self):
        """Characters that the vocabulary has no room for are neither written nor accepted."""
        self.train(classes=5)
        text = self.cltrain("sample", "run", "--length", 40, "--temperature", 3).stdout
        self.assertNotIn("<unk>", text)
        self.assertIn("'é'", self.cltrain("sample", "run", "--prompt", "é", code=2).stderr)

    def test_other_models(self):
        self.train(words="true", classes=20, text="one two three four " * 100)
        self.assertIn("trained on words", self.cltrain("sample", "run", code=3).stderr)
        table = "\n".join(f"{i % 7},{i % 3}" for i in range(60)) + "\n"
        self.write("table.csv", table)
        self.write("mlp.yaml", "model: {name: m, input: [1], classes: 3, layers: [{kind: linear, units: 3}]}\n"
                               "training: {epochs: 1, gradient_norms: false}\n")
        self.cltrain("train", "mlp.yaml", "--data", "table.csv", "--out", "table")
        self.assertIn("not trained on a text", self.cltrain("sample", "table", code=3).stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[1:])
