"""Compiles every kernel file alone as OpenCL C 1.2, with no device and no generated code in front.

usage: kernels.py SOURCE_ROOT [CLANG]

Exits 77 (skipped) where there is no clang.
"""
import pathlib
import shutil
import subprocess
import sys


def main():
    clang = sys.argv[2] if len(sys.argv) > 2 else shutil.which("clang")
    files = sorted((pathlib.Path(sys.argv[1]) / "cl").rglob("*.cl"))
    if not clang:
        print(f"SKIPPED: lint of {len(files)} kernel files (no clang)")
        return 77
    failed = 0
    for path in files:
        result = subprocess.run(
            [clang, "-x", "cl", "-cl-std=CL1.2", "-fsyntax-only", "-Xclang", "-finclude-default-header",
             "-Wall", "-Werror", "-Wno-unused-function", "-Wno-unknown-pragmas", str(path)],
            capture_output=True, text=True)
        failed += result.returncode != 0
        print(result.stderr, end="")
    print(f"{len(files)} kernel files, {failed} failures")
    return 1 if failed else 0


sys.exit(main())
