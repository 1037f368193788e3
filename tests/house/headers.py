"""Compiles every header alone: public ones as C11 and C++17 without a warning, internal ones as C11.

usage: headers.py SOURCE_ROOT C_COMPILER... [-- CXX_COMPILER...]

Also checks that each public header is listed in include/meson.build (else it is not installed) and in
clgrad.h, which applications include.
"""
import pathlib
import subprocess
import sys


def split(words):
    at = words.index("--") if "--" in words else len(words)
    return words[:at], words[at + 1:]


def compiles(command, path):
    result = subprocess.run(command + ["-fsyntax-only", str(path)], capture_output=True, text=True)
    if result.returncode:
        print(f"{' '.join(command)} {path}\n{result.stderr}")
    return result.returncode == 0


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    c, cxx = split(sys.argv[2:])
    strict = ["-Wall", "-Wextra", "-pedantic", "-Werror", f"-I{root / 'include'}"]
    public = sorted((root / "include/clgrad").glob("*.h"))
    internal = sorted((root / "src").rglob("*.h")) + sorted((root / "tests").glob("*.h"))
    failed = 0
    for path in public:
        failed += not compiles(c + ["-std=c11", "-x", "c"] + strict, path)
        if cxx:
            failed += not compiles(cxx + ["-std=c++17", "-x", "c++"] + strict, path)
    for path in internal:
        flags = ["-std=gnu11", "-x", "c", "-Wall", "-Werror", "-DCL_TARGET_OPENCL_VERSION=120",
                 f"-I{root / 'include'}", f"-I{root / 'src'}"]
        failed += not compiles(c + flags, path)
    listing = (root / "include/meson.build").read_text()
    umbrella = (root / "include/clgrad/clgrad.h").read_text()
    for path in sorted((root / "include/clgrad").iterdir()):
        if f"clgrad/{path.name}" not in listing:
            failed += 1
            print(f"{path.name} is not in include/meson.build")
        if path.suffix == ".h" and path.name != "clgrad.h" and f'"clgrad/{path.name}"' not in umbrella:
            failed += 1
            print(f"{path.name} is not in clgrad.h")
    if not cxx:
        print("SKIPPED: headers as C++17 (no C++ compiler)")
    print(f"{len(public)} public and {len(internal)} internal headers, {failed} failures")
    return 1 if failed else 0


sys.exit(main())
