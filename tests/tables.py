"""A small table, a model for it, and what is done with both: for tests of training (test_*.py)."""
import json
import struct

from test_cltrain import Case

TABLE = """model:
  name: table
  input: [2]
  classes: 3
  layers:
    - {kind: standardize}
    - {kind: linear, units: 3}
training: {optimizer: sgd, lr: 0.1, batch: 16, epochs: 2, validation: 0, gradient_norms: false}
"""


class Runs(Case):
    def folder_of(self, run):
        return self.folder / run / "checkpoints"

    def checkpoints(self, run):
        return sorted(path.name for path in self.folder_of(run).glob("*.safetensors"))

    def variables(self, run):
        """{name: numbers} of a run's latest checkpoint."""
        content = (self.folder_of(run) / (self.folder_of(run) / "latest").read_text().strip()).read_bytes()
        length, = struct.unpack("<Q", content[:8])
        data = content[8 + length:]
        found = {}
        for name, about in json.loads(content[8:8 + length]).items():
            if name != "__metadata__" and about["dtype"] == "F32":
                begin, end = about["data_offsets"]
                found[name] = struct.unpack(f"<{(end - begin) // 4}f", data[begin:end])
        return found


class Tables(Runs):
    """60 rows in t.csv, of which 48 are trained on, and TABLE in model.yaml."""

    def setUp(self):
        super().setUp()
        self.write("".join(f"{i % 7},{i % 5},{'abc'[i % 3]}\n" for i in range(60)), "t.csv")
        self.write(TABLE)

    def train(self, *more, code=0):
        return self.cltrain("train", "model.yaml", "--data", "t.csv", *more, code=code)
