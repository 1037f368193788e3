"""Compiles and runs the C example of the README, as it stands there.

usage: readme.py SOURCE_ROOT SHARED_LIBRARY C_COMPILER...

It has to build without a warning, to stay within 60 lines, and to succeed.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

EXAMPLE = re.compile(r"<!-- example.c -->\n```c\n(.*?)```", re.S)


def main():
    root, library, compiler = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3:]
    match = EXAMPLE.search((root / "README.md").read_text(encoding="utf-8"))
    if not match:
        print("README.md has no example between <!-- example.c --> and the end of the code block")
        return 1
    lines = match[1].count("\n")
    with tempfile.TemporaryDirectory() as folder:
        source, program = pathlib.Path(folder, "example.c"), pathlib.Path(folder, "example")
        source.write_text(match[1], encoding="utf-8")
        build = [*compiler, "-std=c11", "-Wall", "-Wextra", "-pedantic", "-Werror",
                 f"-I{root / 'include'}", str(source), "-o", str(program), str(library.resolve()),
                 f"-Wl,-rpath,{library.resolve().parent}"]
        status = subprocess.run(build).returncode or subprocess.run([program]).returncode
    print(f"{lines} lines, exit status {status}")
    return 1 if status or lines > 60 else 0


sys.exit(main())
