"""What cltrain does with texts, from outside: character models and what they write, vectors of words.

usage: test_sequence_tools.py CLTRAIN [TEST...]
"""
import json
import math
import pathlib
import random
import signal
import struct
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
        refused = self.cltrain("predict", "run", "text.txt", code=2).stderr
        self.assertIn("a class for each step", refused)

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


def groups_text(n=4000):
    """Words of four kinds that keep to themselves: "a3" occurs among "a..." only."""
    rng = random.Random(1)
    words = []
    while len(words) < n:
        kind = rng.choice("abcd")
        words += [f"{kind}{rng.randrange(6)}" for _ in range(12)]
    return " ".join(words) + "\n"


def read_npy(path):
    """Rows of a float32 array."""
    data = path.read_bytes()
    size = struct.unpack("<H", data[8:10])[0]
    header = data[10:10 + size].decode()
    rows, columns = map(int, header.split("(")[1].split(")")[0].split(",")[:2])
    numbers = struct.unpack(f"<{rows * columns}f", data[10 + size:])
    return [numbers[i * columns:(i + 1) * columns] for i in range(rows)]


class Words(Case):
    def learn(self, *options, text=None):
        self.write("words.txt", text or groups_text())
        return self.cltrain("word2vec", "words.txt", "--dimension", 8, "--batch", 128, "--epochs", 20, "--sample", 0,
                            "--json", *options)

    def assert_groups(self, folder):
        """Nearest words are of the same kind."""
        wrong = 0
        for word in ("a0", "b3", "c5", "d2"):
            output = self.cltrain("nearest", folder, word, "--count", 5, "--json").stdout
            wrong += sum(near["word"][0] != word[0] for near in json.loads(output)["nearest"])
        self.assertLessEqual(wrong, 1)

    def test_methods(self):
        for name, options in {"skip-gram": [], "cbow": ["--cbow"], "tree": ["--hierarchical"],
                              "cbow-tree": ["--cbow", "--hierarchical"]}.items():
            with self.subTest(name):
                lines = [json.loads(line) for line in self.learn("--out", name, *options).stdout.splitlines()]
                self.assertEqual(len(lines), 21)
                self.assertLess(lines[-2]["loss"], lines[0]["loss"] - 0.05)
                self.assertEqual(lines[-1]["words"], 24)
                self.assert_groups(name)

    def test_files(self):
        """The three files agree, and the same seed gives the same bytes."""
        self.learn("--out", "one")
        self.learn("--out", "two")
        self.learn("--out", "three", "--seed", 2)
        text, words, rows = ((self.folder / "one" / "vectors.txt").read_text(),
                             (self.folder / "one" / "words.txt").read_text().split(),
                             read_npy(self.folder / "one" / "vectors.npy"))
        lines = [line.split() for line in text.splitlines()]
        self.assertEqual(lines[0], ["24", "8"])
        self.assertEqual([line[0] for line in lines[1:]], words)
        for line, row in zip(lines[1:], rows):
            for written, number in zip(line[1:], row):
                self.assertAlmostEqual(float(written), number, delta=1e-5 * max(1, abs(number)))
        self.assertEqual(text, (self.folder / "two" / "vectors.txt").read_text())
        self.assertNotEqual(text, (self.folder / "three" / "vectors.txt").read_text())
        again = self.cltrain("word2vec", "words.txt", "--out", "one", code=2)
        self.assertIn("already holds vectors", again.stderr)

    def test_interruption(self):
        """Ctrl-C writes the vectors as they are."""
        self.write("words.txt", groups_text())
        command = [CLTRAIN, "word2vec", "words.txt", "--epochs", "1000000", "--out", "out"]
        with subprocess.Popen(command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            process.stdout.readline()
            process.send_signal(signal.SIGINT)
            process.communicate()
        self.assertEqual(process.returncode, 128 + signal.SIGINT)
        self.assertTrue((self.folder / "out" / "vectors.npy").exists())

    def test_options(self):
        text = "x " * 50 + "y " * 20 + "z " * 3 + "w v u "
        _, last = self.learn("--epochs", 1, "--min-count", 3, text=text).stdout.splitlines()
        self.assertEqual(json.loads(last)["words"], 3)
        self.assertEqual(json.loads(last)["out"], "runs/word2vec-1")
        _, last = self.learn("--epochs", 1, "--min-count", 1, "--vocabulary", 4, text=text).stdout.splitlines()
        self.assertEqual(json.loads(last)["words"], 4)
        first, _ = self.learn("--epochs", 1, "--window", 1, "--sample", 0, text="p q " * 50).stdout.splitlines()
        self.assertEqual(json.loads(first)["examples"], 198)
        self.learn("--epochs", 1, "--cbow", "--hierarchical", text="p q " * 50)  # a tree with one node
        for options, code, message in (
                (["--min-count", 60], 3, "0 of 6 words occur 60 times or more"),
                (["--lr", "fast"], 2, "--lr takes a number"), (["--sample", 2], 2, "--sample takes a number"),
                (["--window", 5000], 2, "--window is at most 1000"), (["--window", 0], 2, "1 or more"),
                (["--negative", 3, "--hierarchical"], 2, "either --negative or --hierarchical"),
                (["--lr", 1000, "--min-count", 1], (0, 6), "")):
            with self.subTest(options):
                self.write("words.txt", text)
                command = [CLTRAIN, "word2vec", "words.txt", "--epochs", "2", *map(str, options)]
                result = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=300)
                self.assertIn(result.returncode, code if isinstance(code, tuple) else (code,), result.stderr)
                self.assertIn(message, result.stderr)
        self.assertIn("which text", self.cltrain("word2vec", code=2).stderr)
        self.cltrain("word2vec", "nothing.txt", code=3)
        (self.folder / "bytes.txt").write_bytes(b"a b \xff\xfe c")
        self.cltrain("word2vec", "bytes.txt", code=3)


# Nearest to b - a + c is d for these: (kind of person, crowned or not).
VECTORS = """6 3
man 1 0 0.1
woman 0 1 0.1
king 1 0 1
queen 0 1 1.1
tree -1 0.2 -0.3
stone -1 -1 0
"""
HOSTILE = [
    ("", "line 1: not the number"), ("6\n", "line 1"), ("six 3\n", "line 1"), ("2 2 2\na 1 1\nb 1 1\n", "line 1"),
    ("0 3\n", "line 1: 0 vectors"), ("-1 3\n", "line 1"), ("99999999999 3\na 1 2 3\n", "line 1"),
    ("2000000000 3\na 1 2 3\n", "2000000000 vectors of 3 numbers, but the file has"),
    ("1 1000000\na 1 2 3\n", "1 vectors of 1000000 numbers, but the file has"),
    ("1 99999999999999999999\na 1\n", "line 1"),
    ("2 2\na 1.125 2.125\n", "1 words, but line 1 says 2"), ("1 2\na 1 2\nb 1 2\n", "more than the 1 words"),
    ("2 2\na 1 2\nb 1\n", "line 3: number 2 of 2 is missing"), ("1 2\na 1 2 3\n", "line 2: more than 2"),
    ("1 2\na 1 x\n", "line 2: number 2 of 2"), ("1 2\na 1 nan\n", "line 2: number 2"),
    ("1 2\na 1 1e999\n", "line 2: number 2"), ("1 2\na 1 2y\n", "line 2: number 2"),
    ("2 1\na 1\na 2\n", "'a' is there twice"), ("1 2\n 1 2\n", "line 2: not a word"), ("1 1\nab\n  \n", "line 2"),
    ("1 2\na\0 1 2\n", "no text"),
]


class Nearest(Case):
    def test_words(self):
        self.write("v.txt", VECTORS)
        output = self.cltrain("nearest", "v.txt", "king", "--count", 2).stdout.splitlines()
        self.assertEqual([line.split()[1] for line in output], ["man", "queen"])
        cosine = (1 + 0.1) / math.sqrt(1.01 * 2)
        self.assertAlmostEqual(float(output[0].split()[0]), cosine, delta=1e-4)
        analogy = json.loads(self.cltrain("nearest", "v.txt", "man", "King", "woman", "--json").stdout)["nearest"]
        self.assertEqual(analogy[0]["word"], "queen")
        self.assertEqual(len(analogy), 3)
        for arguments, code, message in (
                (["v.txt", "kin"], 3, "'kin' is not among the 6 words (did you mean 'king'?)"),
                (["v.txt"], 2, "one word, or three"), (["v.txt", "man", "king"], 2, "one word, or three"), ([], 2, "give"),
                (["v.txt", "king", "--questions", "q"], 2, "no words"), (["v.txt", "king", "--count", 5000], 2, "at most"),
                (["missing.txt", "king"], 3, "missing.txt"), (["v.txt", "--questions", "missing"], 3, "missing")):
            with self.subTest(arguments):
                self.assertIn(message, self.cltrain("nearest", *arguments, code=code).stderr)

    def test_questions(self):
        self.write("v.txt", VECTORS)
        self.write("q.txt", ": royal\nman king woman Queen\nwoman queen man king\nman king woman tree\n"
                            ": unknown\nman king boy prince\n: last\nking man queen woman\n")
        lines = [json.loads(line) for line in
                 self.cltrain("nearest", "v.txt", "--questions", "q.txt", "--json").stdout.splitlines()]
        self.assertEqual([(line["section"], line["right"], line["known"], line["questions"]) for line in lines],
                         [("royal", 2, 3, 3), ("unknown", 0, 0, 1), ("last", 1, 1, 1), ("total", 3, 4, 5)])
        self.assertIsNone(lines[1]["accuracy"])
        self.assertIn("75.0 %", self.cltrain("nearest", "v.txt", "--questions", "q.txt").stdout)
        for text, message in (("a b c\n", "line 1: a question has four words"), (": x\na b c d e\n", "line 2"),
                              ("", "no questions"), (": x\n", "no questions")):
            self.write("q.txt", text)
            self.assertIn(message, self.cltrain("nearest", "v.txt", "--questions", "q.txt", code=3).stderr)

    def test_hostile_files(self):
        for text, message in HOSTILE:
            with self.subTest(text):
                self.write("v.txt", text)
                self.assertIn(message, self.cltrain("nearest", "v.txt", "a", code=3).stderr)
        for cut in range(0, len(VECTORS) - 4, 7):
            self.write("v.txt", VECTORS[:cut])
            self.cltrain("nearest", "v.txt", "a", code=3)
        self.write("v.txt", "2 2\r\na 0 0\r\nb 1 0 \r\n")
        self.assertEqual(self.cltrain("nearest", "v.txt", "a").stdout, "0.0000  b\n")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[1:])
