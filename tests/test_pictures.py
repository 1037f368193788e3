"""The pictures that cltrain makes of a run: parsed, and looked at by a browser where there is one.

usage: test_pictures.py CLTRAIN [TEST...]
"""
import ast
import base64
import html
import html.parser
import json
import os
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import unittest
import xml.dom.minidom
import zlib

sys.dont_write_bytecode = True  # leaves nothing in the source folder
from test_cltrain import Case, MODEL, make_data, make_images

SECTIONS = "summary curves epochs confusion mistakes filters gradients settings machine".split()
NUMBER_SECTIONS = "summary curves epochs fit filters gradients settings machine".split()
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
    """Width and height of an image in a page."""
    return png_parts(base64.b64decode(uri.split(",", 1)[1], validate=True))[0]


def png_parts(data):
    """Width and height, and the filtered rows; every checksum is verified."""
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
    return size, zlib.decompress(pixels)


def png_grey(data):
    """Rows of the bytes of a grey image, filters undone."""
    (width, height), filtered = png_parts(data)
    above, rows = [0] * width, []
    for y in range(height):
        kind, *row = filtered[y * (width + 1):(y + 1) * (width + 1)]
        for x in range(width):
            left, corner = (row[x - 1], above[x - 1]) if x else (0, 0)
            paeth = min((left, above[x], corner), key=lambda v: abs(left + above[x] - corner - v))
            row[x] = row[x] + (0, left, above[x], (left + above[x]) // 2, paeth)[kind] & 255
        rows.append(row)
        above = row
    return rows


def read_npy(path):
    """Shape and numbers of an array of floats."""
    data = path.read_bytes()
    start = 10 + int.from_bytes(data[8:10], "little")
    header = ast.literal_eval(data[10:start].decode())
    assert header["descr"] == "<f4" and not header["fortran_order"]
    return header["shape"], struct.unpack(f"<{(len(data) - start) // 4}f", data[start:])


def write_npy(path, rows):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({len(rows)}, {len(rows[0])})}}"
    header = header.ljust(117) + "\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() +
                     b"".join(struct.pack("<f", value) for row in rows for value in row))


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


    def test_class_names(self):
        """Words of a table, with markup in them."""
        names = ["<b>one</b>", "two & \"more\"", "drei 'ß'"]
        rows = ["a,b,kind"]
        for i in range(120):
            label = i % 3
            name = names[label].replace('"', '""')
            rows.append(f'{label + i % 7 / 10},{-label + i % 5 / 10},"{name}"')
        self.write("\n".join(rows) + "\n", "table.csv")
        model = {"model": {"name": "table", "input": [2], "classes": 3,
                           "layers": [{"kind": "linear", "units": 3}]}, "training": {"epochs": 1}}
        self.cltrain("train", self.write(json.dumps(model)), "--data", "table.csv", "--out", "run")
        page = self.page("run/report.html")
        for name in names:
            self.assertIn(name, page.sections["confusion"])
        self.assertNotIn("b", page.tags)
        self.assertEqual(png_size(page.images[-1]["src"]), (3, 2))


    def test_numbers_as_targets(self):
        """Two targets for each sample; there is nothing about classes."""
        rng, folder = random.Random(3), self.folder / "numbers"
        folder.mkdir()
        for part, count in ("train", 70), ("test", 20):
            inputs = [[rng.uniform(-1, 1) for _ in range(3)] for _ in range(count)]
            write_npy(folder / f"x_{part}.npy", inputs)
            write_npy(folder / f"y_{part}.npy", [[a + b, b - c] for a, b, c in inputs])
            targets = [number for a, b, c in inputs for number in (a + b, b - c)]  # of the test part, at last
        model = {"model": {"name": "numbers", "input": [3], "outputs": 2, "loss": "mse",
                           "layers": [{"kind": "linear", "units": 2}]}, "training": {"epochs": 2}}
        lines = self.lines("train", self.write(json.dumps(model)), "--data", "numbers", "--out", "run")
        self.assertGreater(lines[0]["gradient_norms"]["linear1.weight"], 0)
        page = self.page("run/report.html")
        self.assertEqual(list(page.sections), NUMBER_SECTIONS)
        (name, points), (_, ends) = page.curves["fit"]
        self.assertEqual((name, len(points), len(ends)), ("prediction", 40, 2))
        predicted = sum((line["outputs"] for line in self.lines("predict", "run", "numbers")), [])
        for (_, shown), value in zip(sorted(points), (v for _, v in sorted(zip(targets, predicted))), strict=True):
            self.assertAlmostEqual(shown, value, delta=1e-4)
        result, = self.lines("landscape", "run", "--points", "3")
        self.assertGreater(result["highest"], result["loss"])


    def test_function(self):
        """One number of one: the data and what the network makes of it, by rising input."""
        self.write("x,y\n" + "".join(f"{i * 37 % 100 / 50 - 1},{i * 37 % 100 / 50}\n" for i in range(100)), "line.csv")
        model = {"model": {"name": "line", "input": [1], "outputs": 1, "loss": "mse",
                           "layers": [{"kind": "linear", "units": 1}]}, "training": {"epochs": 2}}
        self.lines("train", self.write(json.dumps(model)), "--data", "line.csv", "--out", "run")
        page = self.page("run/report.html")
        (data, points), (network, line) = page.curves["fit"]
        self.assertEqual((data, network, len(points), len(line)), ("data", "network", 20, 20))
        for (x, y), (at, value) in zip(points, line, strict=True):
            self.assertEqual(x, at)
            self.assertAlmostEqual(y, x + 1, delta=1e-4)
            self.write(f"x\n{x}\n{x}\n", "one.csv")
        self.assertEqual(points, sorted(points))
        last = self.lines("predict", "run", "one.csv")[0]["outputs"][0]
        self.assertAlmostEqual(line[-1][1], last, delta=1e-4)


class Comparing(Pictures):
    def test_compare(self):
        lines = {run: self.train(run, *more) for run, more in
                 (("a & <b>", []), ("c", ["--epochs", "2", "--optimizer", "sgd"]))}
        rows = self.lines("compare", *lines, "--out", "page.html")
        self.assertEqual([row["run"] for row in rows], list(lines))
        for row in rows:
            epochs = lines[row["run"]][:-1]
            best = min(epochs, key=lambda line: line["val_loss"])
            self.assertEqual((row["epochs"], row["best_epoch"]), (len(epochs), best["epoch"]))
            for key, value in (("train_loss", epochs[-1]["train_loss"]), ("val_loss", best["val_loss"]),
                               ("val_accuracy", best["val_accuracy"])):
                self.assertAlmostEqual(row[key], value, places=6)
        curves = self.page("page.html").curves["curves"]
        self.assertEqual([name for name, _ in curves], list(lines) * 4)
        self.assertEqual([len(points) for _, points in curves], [3, 2] * 4)
        table = self.cltrain("compare", *lines).stdout.splitlines()
        self.assertEqual(len(table), 3)
        self.assertTrue((self.folder / "compare.html").exists())
        self.cltrain("compare", code=2)
        self.cltrain("compare", "c", "nothing", code=3)
        (self.folder / "empty").mkdir()
        (self.folder / "empty" / "config.yaml").write_bytes((self.folder / "c" / "config.yaml").read_bytes())
        self.cltrain("compare", "c", "empty", code=3)
        self.cltrain("compare", "c", "--out", "no/such/place.html", code=1)


CODER = """model:
  name: coder
  input: [8, 8, 1]
  loss: mse
  target: input
  layers:
    - {kind: flatten}
    - {kind: linear, units: 5, name: code}
    - {kind: linear, units: 64, name: output}
    - {kind: sigmoid}
training: {epochs: 1}
"""


class Predictions(Pictures):
    """What predict writes to files."""

    def setUp(self):
        super().setUp()
        self.write(CODER)
        self.train("run")

    def predict(self, *more, **options):
        return self.cltrain("predict", "run", "data/t10k-images-idx3-ubyte", *more, **options)

    def outputs(self, *more):
        return [json.loads(line)["outputs"] for line in self.predict("--json", *more).stdout.splitlines()]

    def check_array(self, width, *more):
        self.assertEqual(self.predict("--out", "x.npy", *more).stdout, "")
        shape, numbers = read_npy(self.folder / "x.npy")
        self.assertEqual(shape, (100, width))
        for number, printed in zip(numbers, sum(self.outputs(*more), []), strict=True):
            self.assertAlmostEqual(number, printed, delta=1e-6 + 1e-6 * abs(printed))

    def test_arrays(self):
        self.check_array(64)
        self.check_array(5, "--layer", "code")
        self.assertEqual(self.outputs("--layer", "2"), self.outputs("--layer", "code"))
        self.assertEqual(self.outputs("--layer", "4"), self.outputs())

    def test_picture(self):
        self.predict("--out", "x.png", "--limit", "20")
        rows = png_grey((self.folder / "x.png").read_bytes())
        self.assertEqual((len(rows), len(rows[0])), (4 * 9 - 1, 16 * 9 - 1))
        pixels = (self.folder / "data/t10k-images-idx3-ubyte").read_bytes()[16:]
        for sample, outputs in enumerate(self.outputs("--limit", "20")):
            top, left = sample // 16 * 18, sample % 16 * 9
            for y in range(8):
                start = sample * 64 + 8 * y
                self.assertEqual(bytes(rows[top + y][left:left + 8]), pixels[start:start + 8])
                for x in range(8):
                    shown = rows[top + 9 + y][left + x]
                    self.assertAlmostEqual(shown, 255 * outputs[8 * y + x], delta=0.51)
        self.predict("--out", "many.png")
        self.assertEqual(png_parts((self.folder / "many.png").read_bytes())[0], (143, 14 * 9 - 1))

    def test_refusals(self):
        self.assertIn("no layer 'cod'", self.predict("--layer", "cod", code=2).stderr)
        self.predict("--layer", "5", code=2)
        self.predict("--out", "x.gif", code=2)
        self.assertIn("not (5)", self.predict("--layer", "code", "--out", "x.png", code=3).stderr)
        self.predict("--out", "no/x.npy", code=1)


class Landscape(Pictures):
    def landscape(self, *more):
        result, = self.lines("landscape", "run", "--points", "5", "--samples", "100", *more)
        rows = (self.folder / "run/landscape.csv").read_text().splitlines()
        self.assertEqual(rows[0], "x,y,loss")
        return result, [tuple(map(float, row.split(","))) for row in rows[1:]]

    def test_landscape(self):
        self.train("run")
        result, rows = self.landscape()
        self.assertEqual([row[:2] for row in rows[:6]], [(-1, -1), (-0.5, -1), (0, -1), (0.5, -1),
                                                         (1, -1), (-1, -0.5)])
        # In the middle there are the trained weights: their loss on these samples as eval sees it.
        make_images(self.folder / "data", "t10k", 100, 1)  # the first hundred of the training images
        score, = self.lines("eval", "run")
        self.assertAlmostEqual(rows[12][2], score["loss"], places=5)
        self.assertEqual(rows[12][:2], (0, 0))
        self.assertAlmostEqual(result["loss"], rows[12][2], places=6)
        self.assertEqual(result["highest"], max(row[2] for row in rows))
        self.assertLess(rows[12][2], sum(row[2] for row in rows) / 25)
        self.assertEqual(self.landscape()[1], rows)
        self.assertNotEqual(self.landscape("--seed", "2")[1], rows)
        narrow = self.landscape("--range", "1e-6")[1]
        self.assertLess(max(row[2] for row in narrow) - min(row[2] for row in narrow), 1e-3)

    def test_picture(self):
        self.train("run & <others>", "--epochs", "1")
        self.lines("landscape", "run & <others>", "--points", "3")
        svg = xml.dom.minidom.parse(str(self.folder / "run & <others>/landscape.svg"))
        cells = [rect for rect in svg.getElementsByTagName("rect") if rect.getElementsByTagName("title")]
        self.assertEqual(len(cells), 9)
        self.assertIn("run & <others>", svg.getElementsByTagName("title")[0].firstChild.data)
        self.assertTrue(any("M" in path.getAttribute("d") for path in svg.getElementsByTagName("path")))

    def test_mistakes(self):
        self.cltrain("landscape", code=2)
        self.cltrain("landscape", "nothing", code=3)
        for wrong in ("--points", "4"), ("--points", "1"), ("--points", "1001"), ("--range", "0"), \
                ("--range", "x"), ("--range", "nan"), ("--samples", "0"):
            self.cltrain("landscape", "nothing", *wrong, code=2)


class Graph(Case):
    def test_without_dot(self):
        result = self.cltrain("graph", "mlp", "--svg", code=1, env={"PATH": "/nonexistent"})
        self.assertRegex(result.stderr, "'dot'.*Graphviz")
        self.assertEqual(result.stdout, "")

    def test_drawing(self):
        """With a stand-in that is given the same text as --dot prints."""
        dot = self.folder / "dot"
        dot.write_text("#!/bin/sh\n[ \"$1\" = -Tsvg ] && exec cat\n")
        dot.chmod(0o755)
        path = {"PATH": f"{self.folder}:{os.environ['PATH']}"}
        for more in [], ["--training"]:
            self.assertEqual(self.cltrain("graph", "resnet20", "--svg", *more, env=path).stdout,
                             self.cltrain("graph", "resnet20", "--dot", *more).stdout)
        dot.write_text("#!/bin/sh\nexit 3\n")
        self.assertIn("failed", self.cltrain("graph", "mlp", "--svg", code=1, env=path).stderr)

    @unittest.skipUnless(shutil.which("dot"), "Graphviz is not here")
    def test_graphviz(self):
        self.assertIn("<svg", self.cltrain("graph", "mlp", "--svg").stdout)


BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

# Put into the page: what the charts answer to a pointer, and whether anything is wider than the screen.
PROBE = """<pre id="probe"></pre><script>
addEventListener("load", function () {
  const figure = document.querySelector(".chart"), box = figure.querySelector("svg").getBoundingClientRect();
  figure.querySelector("svg").dispatchEvent(new PointerEvent("pointermove",
    {clientX: box.left + box.width * 0.9, clientY: box.top + box.height / 2, bubbles: true}));
  document.getElementById("probe").textContent = JSON.stringify({
    tip: (figure.querySelector(".tip") || {}).textContent, screen: innerWidth,
    page: document.documentElement.scrollWidth,
    loaded: performance.getEntriesByType("resource").length});
});
</script>"""


@unittest.skipUnless(BROWSER, "no Chromium here: pages were not looked at in a browser")
class Browser(Pictures):
    def chromium(self, page, *more):
        return subprocess.run(
            [BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
             "--disable-dev-shm-usage", f"--user-data-dir={self.folder}/profile", *more,
             (self.folder / page).resolve().as_uri()],
            check=True, capture_output=True, text=True, timeout=120).stdout

    def test_report(self):
        lines = self.train("run")
        report = self.folder / "run/report.html"
        text = report.read_text(encoding="utf-8")
        (self.folder / "probed.html").write_text(text.replace("</body>", PROBE + "</body>"), encoding="utf-8")
        # Chromium's windows are 500 pixels wide at least: a phone is a frame in one.
        (self.folder / "phone.html").write_text(
            '<body style="margin:0"><iframe src="probed.html" width="390" height="3000"></iframe>')
        for page, width in ("probed.html", 1200), ("phone.html", 500):
            picture = self.folder / f"{width}.png"
            self.chromium(page, f"--window-size={width},3000", f"--screenshot={picture}",
                          "--force-device-scale-factor=1")
            self.assertEqual(struct.unpack(">II", picture.read_bytes()[16:24]), (width, 3000))
            self.assertGreater(len(picture.read_bytes()), 20000)  # an empty page has 6000 bytes or so
        for width in 1200, 500:
            found = self.chromium("probed.html", f"--window-size={width},900", "--dump-dom")
            probe = json.loads(html.unescape(found.split('<pre id="probe">')[1].split("</pre>")[0]))
            self.assertLessEqual(probe["page"], probe["screen"])
            self.assertEqual(probe["loaded"], 0)
            self.assertRegex(probe["tip"], r"^epoch 3\ntraining: [\d.]+\nvalidation: [\d.]+$")
            self.assertIn("%.3g" % lines[2]["train_loss"], "%.3g" % float(probe["tip"].split()[3]))


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
