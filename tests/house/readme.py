"""Tries the examples of the README, as they stand there.

usage: readme.py SOURCE_ROOT CLTRAIN SHARED_LIBRARY C_COMPILER...

The C program has to build without a warning, to stay within 60 lines, and to succeed. The model file has
to be one that cltrain accepts.
"""
import pathlib
import re
import subprocess
import sys
import tempfile


def example(text, name, language):
    """The code block behind the comment with this name."""
    match = re.search(rf"<!-- {re.escape(name)} -->\n```{language}\n(.*?)```", text, re.S)
    if not match:
        sys.exit(f"README.md has no example marked {name}")
    return match[1]


def try_program(folder, root, library, compiler, text):
    source, program = folder / "example.c", folder / "example"
    source.write_text(text, encoding="utf-8")
    build = [*compiler, "-std=c11", "-Wall", "-Wextra", "-pedantic", "-Werror", f"-I{root / 'include'}",
             str(source), "-o", str(program), str(library), f"-Wl,-rpath,{library.parent}"]
    status = subprocess.run(build).returncode or subprocess.run([program]).returncode
    lines = text.count("\n")
    print(f"example.c: {lines} lines, exit status {status}")
    return status == 0 and lines <= 60


def try_model(folder, tool, text):
    model = folder / "example.yaml"
    model.write_text(text, encoding="utf-8")
    status = subprocess.run([tool, "graph", str(model)]).returncode
    print(f"example.yaml: exit status {status}")
    return status == 0


def main():
    root, tool, library = (pathlib.Path(argument).resolve() for argument in sys.argv[1:4])
    text = (root / "README.md").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        good = [try_program(folder, root, library, sys.argv[4:], example(text, "example.c", "c")),
                try_model(folder, tool, example(text, "example.yaml", "yaml"))]
    return 0 if all(good) else 1


sys.exit(main())
