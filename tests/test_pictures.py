"""The pictures that cltrain makes of a run: parsed, and looked at by a browser where there is one.

usage: test_pictures.py CLTRAIN [TEST...]
"""
import base64
import html.parser
import json
import pathlib
import shutil
import struct
import subprocess
import sys
import unittest
import zlib

sys.dont_write_bytecode = True  # leaves nothing in the source folder
from test_cltrain import Case, MODEL, make_data

SECTIONS = "summary curves epochs confusion mistakes filters gradients settings machine".split()
VOID = {"meta", "img", "br", "link", "input", "hr"}
LOADING = {"src", "href", "data", "action", "poster", "srcset", "xlink:href"}


class Page(html.parser.HTMLParser):
    """What a page holds. Complains about tags that do not match and about anything that is loaded."""

    def __init__(self, text):
        super().__init__()
        self.open, self.sections, self.images, self.curves, self.tags = [], {}, [], {}, set()
        self.complaints, self.text, self.preformatted = [], "", ""
        self.feed(text)
        self.close()
        if self.open:
            self.complaints.append(f"open at the end: {self.open}")

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.tags.add(tag)
        if len(values) != len(attributes):
            self.complaints.append(f"attribute given twice in {tag}")
        for name, value in attributes:
            if name in LOADING and not (value.startswith("#") or value.startswith("data:image/png;base64,")):
                self.complaints.append(f"{tag} loads {value}")
            if name.startswith("on"):
                self.complaints.append(f"{tag} has {name}")
        if tag == "section":
            self.sections[values["id"]] = ""
        if tag == "img":
            self.images.append(values)
        if "data-points" in values:
            points = [tuple(map(float, p.split(","))) for p in values["data-points"].split()]
            self.curves.setdefault(list(self.sections)[-1], []).append((values["data-name"], points))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.complaints.append(f"</{tag}> at {self.getpos()} does not match")

    def handle_data(self, data):
        if self.sections and "section" in self.open:
            self.sections[list(self.sections)[-1]] += data
        if self.open and self.open[-1] == "pre":
            self.preformatted += data
        if self.open and self.open[-1] in ("style",) and ("url(" in data or "@import" in data):
            self.complaints.append("a style sheet loads something")


def png_size(uri):
    """Width and height; every checksum is verified."""
    data = base64.b64decode(uri.split(",", 1)[1], validate=True)
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, size, pixels = 8, None, b""
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        content = data[at + 8:at + 8 + length]
        check, = struct.unpack(">I", data[at + 8 + length:at + 12 + length])
        assert check == zlib.crc32(kind + content)
        if kind == b"IHDR":
            size = struct.unpack(">II", content[:8])
        if kind == b"IDAT":
            pixels += content
        at += 12 + length
    zlib.decompress(pixels)
    return size


class Pictures(Case):
    def setUp(self):
        super().setUp()
        make_data(self.folder / "data")
        self.write(MODEL)

    def train(self, run, *more, **options):
        return self.lines("train", "model.yaml", "--data", "data", "--out", run, *more, **options)

    def page(self, path):
        page = Page((self.folder / path).read_text(encoding="utf-8"))
        self.assertEqual(page.complaints, [])
        return page


class Report(Pictures):
    def test_sections(self):
        lines = self.train("run")
        page = self.page("run/report.html")
        self.assertEqual(list(page.sections), SECTIONS)
        self.assertIn("%.2f %%" % (100 * lines[-1]["test_accuracy"]), page.sections["summary"])
        curves = dict(page.curves["curves"][:2])
        for name, key in (("training", "train_loss"), ("validation", "val_loss")):
            self.assertEqual(len(curves[name]), 3)
            for (epoch, value), line in zip(curves[name], lines):
                self.assertEqual(epoch, line["epoch"])
                self.assertAlmostEqual(value, line[key], delta=1e-4 * abs(line[key]))
        self.assertIn("100 samples of the test part", page.sections["confusion"])
        self.assertIn("leaky_relu", page.sections["settings"])
        self.assertIn("compute units", page.sections["machine"])
        self.assertEqual(page.preformatted, (self.folder / "run/config.yaml").read_text())
        for image in page.images:
            png_size(image["src"])
            self.assertTrue(image["alt"])
        filters = [image for image in page.images if image["alt"].startswith("filter ")]
        self.assertEqual([png_size(image["src"]) for image in filters], [(3, 3)] * 4)

    def test_gradient_norms(self):
        lines = self.train("run")
        names = [name for name, _ in self.page("run/report.html").curves["gradients"]]
        self.assertEqual(names, ["conv1.weight", "linear1.weight"])
        for line in lines[:-1]:
            self.assertEqual(set(line["gradient_norms"]),
                             {"conv1.weight", "conv1.bias", "linear1.weight", "linear1.bias"})
            self.assertTrue(all(norm > 0 for norm in line["gradient_norms"].values()))
        losses = [line["train_loss"] for line in lines[:-1]]
        self.write(MODEL + "  gradient_norms: false\n")
        lines = self.train("without")
        self.assertNotIn("gradient_norms", lines[0])
        self.assertIn("No gradient norms", self.page("without/report.html").sections["gradients"])
        self.assertEqual([line["train_loss"] for line in lines[:-1]], losses)  # looking changes nothing

    def test_mistakes(self):
        """Predictions, counted here, against the matrix; an untrained net makes mistakes enough."""
        self.train("run", "--lr", "1e-9", "--epochs", "1")
        page = self.page("run/report.html")
        labels = (self.folder / "data/t10k-labels-idx1-ubyte").read_bytes()[8:]
        matrix = [[0] * 4 for _ in range(4)]
        for line in self.lines("predict", "run", "data/t10k-images-idx3-ubyte"):
            matrix[labels[line["sample"]]][line["class"]] += 1
        for label, row in enumerate(matrix):
            shown = "".join(f"{count}" for count in row)
            self.assertIn(f"{label}{shown}", page.sections["confusion"].replace("\n", ""))
        wrong = 100 - sum(matrix[i][i] for i in range(4))
        samples = [image for image in page.images if image["alt"] == "sample"]
        self.assertEqual(len(samples), min(24, wrong))
        self.assertEqual(png_size(samples[0]["src"]), (8, 8))

    def test_hostile_names(self):
        name = "<script>alert(1)</script>&\"'<img src=x>"
        self.write(MODEL.replace("name: tiny", "name: " + json.dumps(name)))
        run = "a<b>&\"'<script src=x>\n"
        self.train(run, "--epochs", "1")
        text = (self.folder / run / "report.html").read_text(encoding="utf-8")
        page = Page(text)
        self.assertEqual(page.complaints, [])
        self.assertEqual(text.count("<script"), 1)
        self.assertNotIn("<img src=x", text)
        self.assertIn(name, page.preformatted.replace('\\"', '"'))

    def test_no_validation(self):
        self.write(MODEL + "  validation: 0\n")
        self.train("run", "--epochs", "1")
        page = self.page("run/report.html")
        self.assertEqual([name for name, _ in page.curves["curves"]], ["training", "lr", "training"])


class Events(Pictures):
    """The event file, read by its documentation."""

    @staticmethod
    def fields(message):
        at = 0
        def varint():
            nonlocal at
            value = shift = 0
            while True:
                byte = message[at]
                at += 1
                value |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    return value
        while at < len(message):
            key = varint()
            if key & 7 == 0:
                yield key >> 3, varint()
            else:
                size = {1: 8, 5: 4}.get(key & 7) or varint()
                yield key >> 3, message[at:at + size]
                at += size

    def events(self, run):
        data, events = (self.folder / run / "events.out.tfevents.cltrain").read_bytes(), []
        while data:
            size, = struct.unpack("<Q", data[:8])
            events.append(dict(self.fields(data[12:12 + size])))
            data = data[16 + size:]
        return events

    def scalars(self, event):
        values = (dict(self.fields(value)) for _, value in self.fields(event[5]))
        return {value[1].decode(): struct.unpack("<f", value[2])[0] for value in values}

    def test_events(self):
        lines = self.train("run")
        first, *events = self.events("run")
        self.assertEqual(first[3], b"brain.Event:2")
        self.assertEqual([event[2] for event in events], [line["step"] for line in lines[:-1]])
        for event, line in zip(events, lines):
            scalars = self.scalars(event)
            for tag, key in (("loss/training", "train_loss"), ("accuracy/validation", "val_accuracy")):
                self.assertAlmostEqual(scalars[tag], line[key], places=6)
            self.assertAlmostEqual(scalars["gradient_norm/conv1.bias"],
                                   line["gradient_norms"]["conv1.bias"], places=6)
        self.lines("train", "--resume", "run", "--epochs", "4")
        self.assertEqual([event[2] for event in self.events("run")[1:]], [19, 38, 57, 76])


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]], verbosity=2)
