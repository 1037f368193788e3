"""Compiles every kernel file alone as OpenCL C 1.2, with no device and no generated code in front.

usage: kernels.py SOURCE_ROOT [CLANG]

Also checks what programs of several files need: that no file or header redefines the macros of pointwise.cl, which
generated code puts in front of it; that a file can stand in a text twice (cl/embed.py), without traces of the first; and
that the knobs which operations set have a default, by which they are known.
Exits 77 (skipped) where there is no clang.
"""
import pathlib
import re
import shutil
import subprocess
import sys


DEFINE = re.compile(r"^#define (\w+)(.*)", re.M)


def redefined(path):
    """Macros of pointwise.cl that a file defines as something else, or finds defined as that."""
    vocabulary = DEFINE.findall((path.parent / "pointwise.cl").read_text())
    names = {name for name, _ in vocabulary}
    return [name for name, text in DEFINE.findall(path.read_text())
            if name in names and (name, text) not in vocabulary]


def unknown_knobs(root):
    """Knobs in the operations' texts that no kernel file or header has a default for."""
    known = {name for path in (root / "cl").iterdir() if path.suffix in (".cl", ".h")
             for name, _ in re.findall(r"^ *# *define (\w+)(.*)", path.read_text(), re.M)}
    return [f"{path.name}: {name}" for path in sorted((root / "src" / "ops").glob("*.c"))
            for name in re.findall(r'[n"]#define (\w+)', path.read_text()) if name not in known]


def compiles(clang, path):
    """Whether clang takes the file as OpenCL C 1.2, and a text with the file in it twice."""
    text = subprocess.run([sys.executable, str(path.parent / "embed.py"), "--twice", str(path)],
                          capture_output=True, text=True, check=True).stdout
    good = True
    for source, given in ((str(path), None), ("-", text)):
        result = subprocess.run(
            [clang, "-x", "cl", "-cl-std=CL1.2", "-fsyntax-only", "-Xclang", "-finclude-default-header",
             "-Wall", "-Werror", "-Wno-unused-function", "-Wno-unknown-pragmas", source],
            capture_output=True, text=True, input=given)
        print(result.stderr, end="")
        good &= result.returncode == 0
    return good


def main():
    clang = sys.argv[2] if len(sys.argv) > 2 else shutil.which("clang")
    files = sorted((pathlib.Path(sys.argv[1]) / "cl").rglob("*.cl"))
    if not clang:
        print(f"SKIPPED: lint of {len(files)} kernel files (no clang)")
        return 77
    failed = 0
    for path in sorted(files[0].parent.rglob("*.h")) if files else []:
        clashes = redefined(path)
        if clashes:
            print(f"{path} redefines {', '.join(clashes)} of pointwise.cl")
        failed += bool(clashes)
    for path in files:
        clashes = redefined(path)
        if clashes:
            print(f"{path} redefines {', '.join(clashes)} of pointwise.cl")
        failed += not compiles(clang, path) or bool(clashes)
    for knob in unknown_knobs(pathlib.Path(sys.argv[1])):
        print(f"no default for the knob of {knob}")
        failed += 1
    print(f"{len(files)} kernel files, {failed} failures")
    return 1 if failed else 0


sys.exit(main())
