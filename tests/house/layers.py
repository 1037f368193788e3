"""Checks that dependencies run strictly downward.

usage: layers.py SOURCE_ROOT

The order of the layers is the list in src/meson.build. A file of src/<layer>/ includes headers of its
own or lower layers only, always as "layer/name.h" or "clgrad/name.h"; tools include public headers
and their own; public headers include public headers of their own or lower layers. Layers above the
operations, and the graph below them, do not see OpenCL, not even through another header. Device makers
are named in the device layer and in tuning data only, in comments too.
"""
import pathlib
import re
import sys

# Layer of each public header; clgrad.h includes them all and is for applications.
PUBLIC_LAYER = {
    "base": "base", "device": "device", "tensor": "tensor", "ops": "ops", "pointwise": "ops", "bench": "ops",
    "autodiff": "autodiff", "program": "program", "gradcheck": "program", "nn": "nn", "optimizer": "nn", "schedule": "nn", "sequence": "nn", "data": "io", "io": "io",
    "bench": "ops", "activations": "ops", "augment": "ops", "losses": "ops", "tuning": "ops", "checkpoint": "io",
}
WITHOUT_OPENCL = ("base", "tensor", "nn", "io", "tools", "public")
MAKERS = re.compile(r"\b(nvidia|amd|intel|mali|adreno|qualcomm|powervr|apple|pocl|mesa|rusticl)\b", re.I)
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.M)


class Checker:
    def __init__(self, root):
        self.root = root
        listing = re.search(r"\[(.*?)\]", (root / "src/meson.build").read_text(), re.S).group(1)
        self.layers = re.findall(r"'(\w+)'", listing)
        self.errors, self.files = [], 0

    def fail(self, path, text):
        self.errors.append(f"{path.relative_to(self.root)}: {text}")

    def rank(self, layer):
        return len(self.layers) if layer == "tools" else self.layers.index(layer)

    def layer_of_include(self, name):
        """Layer of "folder/file.h", or None if the name is not of that form."""
        folder, _, file = name.partition("/")
        if folder == "clgrad":
            return PUBLIC_LAYER.get(pathlib.PurePath(file).stem)
        return folder if folder in self.layers else None

    def resolve(self, path, name):
        """The file that an include with quotes means."""
        for base in (path.parent, self.root / "src", self.root / "include", self.root / "tools"):
            if (base / name).is_file():
                return (base / name).resolve()
        return None

    def way_to_opencl(self, path, seen):
        """Names of the headers on the way from `path` to CL/*.h, or None if there is no way."""
        if path in seen:
            return None
        seen.add(path)
        for quote, name in INCLUDE.findall(path.read_text()):
            if name.startswith(("CL/", "OpenCL/", "clblast")):
                return [name]
            target = self.resolve(path, name) if quote == '"' else None
            rest = self.way_to_opencl(target, seen) if target else None
            if rest:
                return [name] + rest
        return None

    def check_opencl(self, path, layer):
        way = self.way_to_opencl(path, set()) if layer in WITHOUT_OPENCL else None
        if way:
            self.fail(path, f"layer {layer} does not know OpenCL, but includes {' -> '.join(way)}")

    def check_source(self, path, layer):
        self.files += 1
        for quote, name in INCLUDE.findall(path.read_text()):
            if quote == "<":
                continue
            target = self.layer_of_include(name)
            if layer == "tools" and target is None and (self.root / "tools").joinpath(name).is_file():
                continue
            if layer == "tools" and not name.startswith("clgrad/"):
                self.fail(path, f'tools include public headers only, not "{name}"')
            elif target is None and not (layer == "tools" and name == "clgrad/clgrad.h"):
                self.fail(path, f'"{name}" has no known layer (write "layer/file.h")')
            elif target and self.rank(target) > self.rank(layer):
                self.fail(path, f'layer {layer} includes "{name}" of the higher layer {target}')
        self.check_opencl(path, layer)

    def check_public(self, path):
        self.files += 1
        stem = path.name.removesuffix(".h")
        if stem != "clgrad" and stem not in PUBLIC_LAYER:
            self.fail(path, "has no layer: add it to PUBLIC_LAYER of tests/house/layers.py")
            return
        for quote, name in INCLUDE.findall(path.read_text()):
            target = self.layer_of_include(name)
            if quote == '"' and not name.startswith("clgrad/"):
                self.fail(path, f'a public header includes "{name}", which is not installed')
            elif quote == '"' and stem != "clgrad":
                if target is None or self.rank(target) > self.rank(PUBLIC_LAYER[stem]):
                    self.fail(path, f'includes "{name}" of a higher layer')
        self.check_opencl(path, "public")

    def check_makers(self, path):
        for number, line in enumerate(path.read_text().split("\n"), 1):
            found = MAKERS.search(line)
            if found:
                self.fail(path, f"line {number} names {found.group()}: what differs between devices "
                                "is a capability or tuning data")

    def run(self):
        for layer in self.layers:
            for path in sorted((self.root / "src" / layer).rglob("*.[ch]")):
                self.check_source(path, layer)
                if layer != "device" and "tuning" not in path.name:
                    self.check_makers(path)
        for path in sorted((self.root / "cl").rglob("*.cl")):
            self.check_makers(path)
        for path in sorted((self.root / "tools").rglob("*.[ch]")):
            self.check_source(path, "tools")
        for path in sorted((self.root / "include/clgrad").glob("*.h")):
            self.check_public(path)
        for error in self.errors:
            print(error)
        print(f"{self.files} files, {len(self.errors)} violations")
        return 1 if self.errors or not self.files else 0


sys.exit(Checker(pathlib.Path(sys.argv[1]).resolve()).run())
