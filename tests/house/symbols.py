"""Checks what the library exports.

usage: symbols.py SOURCE_ROOT SHARED_LIBRARY STATIC_LIBRARY C_COMPILER...

The shared library exports the functions that the public headers declare, all of them, and nothing
else. The static library, which has no hidden symbols, keeps to the clg_ prefix.
"""
import pathlib
import re
import subprocess
import sys


def lines(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def symbols(*arguments):
    """Names of the defined global symbols, without symbol versions."""
    rows = (line.split() for line in lines("nm", "--defined-only", "--extern-only", *arguments))
    return {row[2].split("@")[0] for row in rows if len(row) == 3}


def declared(root, compiler):
    """Functions that clgrad.h declares for export, after macros were expanded."""
    text = " ".join(line for line in lines(*compiler, "-E", "-P", f"-I{root / 'include'}",
                                           str(root / "include/clgrad/clgrad.h")))
    mark = r'__attribute__\s*\(\(\s*visibility\s*\("default"\)\s*\)\)'
    return set(re.findall(mark + r"[^;{]*?\b(clg_\w+)\s*\(", text))


def main():
    root, compiler = pathlib.Path(sys.argv[1]).resolve(), sys.argv[4:]
    exported, public = symbols("--dynamic", sys.argv[2]), declared(root, compiler)
    # Sanitizers and coverage add their own; they start with two underscores.
    exported = {name for name in exported if not name.startswith(("__", "_init", "_fini"))}
    complaints = [f"exported, but in no public header: {name}" for name in sorted(exported - public)]
    complaints += [f"declared, but not exported: {name}" for name in sorted(public - exported)]
    complaints += [f"the static library defines {name}" for name in sorted(symbols(sys.argv[3]))
                   if not name.startswith(("clg_", "__"))]
    print("\n".join(complaints + [f"{len(exported)} exported, {len(complaints)} complaints"]))
    return 1 if complaints or not exported else 0


sys.exit(main())
