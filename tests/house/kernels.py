"""Compiles every kernel file alone as OpenCL C 1.2, with no device and no generated code in front.

usage: kernels.py SOURCE_ROOT [CLANG]

Also checks that no file or header redefines the macros of pointwise.cl, which generated code puts in front of it.
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
        result = subprocess.run(
            [clang, "-x", "cl", "-cl-std=CL1.2", "-fsyntax-only", "-Xclang", "-finclude-default-header",
             "-Wall", "-Werror", "-Wno-unused-function", "-Wno-unknown-pragmas", str(path)],
            capture_output=True, text=True)
        print(result.stderr, end="")
        clashes = redefined(path)
        if clashes:
            print(f"{path} redefines {', '.join(clashes)} of pointwise.cl")
        failed += result.returncode != 0 or bool(clashes)
    print(f"{len(files)} kernel files, {failed} failures")
    return 1 if failed else 0


sys.exit(main())
