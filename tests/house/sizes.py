"""Keeps functions and files small enough to be read.

usage: sizes.py SOURCE_ROOT

At most one function in twenty over 40 lines and none over 60 (main functions of tests list their cases
and do not count), no file over 650. Exits 77 (skipped) without Universal Ctags.
"""
import json
import pathlib
import shutil
import subprocess
import sys

LONG, TOO_LONG, LONG_SHARE, FILE_LINES = 40, 60, 0.05, 650


def functions(files):
    """(lines, name, file) of every C function."""
    result = subprocess.run(["ctags", "--output-format=json", "--fields=+ne", "--languages=C",
                             "--langmap=C:.c.h", "--kinds-C=f", "-f", "-", *map(str, files)],
                            check=True, capture_output=True, text=True)
    for line in result.stdout.splitlines():
        tag = json.loads(line)
        name = tag["name"]
        rows = name.isupper() and name != "START_TEST"  # uses of a macro, taken for one long function
        if "end" in tag and not rows:
            yield tag["end"] - tag["line"] + 1, name, tag["path"]


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    if not shutil.which("ctags") or "json" not in subprocess.run(
            ["ctags", "--list-features"], capture_output=True, text=True).stdout:
        print("SKIPPED: sizes of functions (no Universal Ctags with JSON)")
        return 77
    files = [path for folder in ("include", "src", "tests", "tools")
             for path in sorted((root / folder).rglob("*.[ch]"))]
    sizes = sorted((size for size in functions(files)
                    if not (size[1] == "main" and "/tests/" in size[2])), reverse=True)
    long = [size for size in sizes if size[0] > LONG]
    complaints = [f"{path}: {name} has {lines} lines" for lines, name, path in long
                  if lines > TOO_LONG or len(long) > LONG_SHARE * len(sizes)]
    for path in files + sorted((root / "cl").rglob("*.cl")):
        lines = path.read_bytes().count(b"\n")
        if lines > FILE_LINES:
            complaints.append(f"{path}: {lines} lines")
    print("\n".join(complaints))
    print(f"{len(sizes)} functions, median {sizes[len(sizes) // 2][0]} lines, {len(long)} over {LONG}, "
          f"longest {sizes[0][0]}; {len(complaints)} complaints")
    return 1 if complaints else 0


sys.exit(main())
