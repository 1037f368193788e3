"""Compares what `cltrain COMMAND --help`, the manual pages' synopses and the completion know.

usage: options.py SOURCE_ROOT CLTRAIN
"""
import pathlib
import re
import subprocess
import sys

COMPLETE = """
source "$1/docs/cltrain.bash"
COMP_WORDS=("${@:2}") COMP_CWORD=$(($# - 2))
_cltrain
printf '%s\\n' "${COMPREPLY[@]}"
"""


def completions(root, *words):
    result = subprocess.run(["bash", "-c", COMPLETE, "bash", str(root), *words], check=True,
                            capture_output=True, text=True)
    return set(result.stdout.split())


def helped(tool, *arguments):
    return subprocess.run([tool, *arguments, "--help"], check=True, capture_output=True, text=True).stdout


def synopsis(root, command):
    """Options in the manual's synopsis of a command; None if there is no such synopsis."""
    for page in sorted((root / "docs").glob("cltrain*.1")):
        block = re.search(rf"^\.Nm cltrain Cm {command}\n((?:\.(?!Nm|Sh).*\n)*)", page.read_text(), re.M)
        if block:
            return set(re.findall(r"(?:Fl|\|) -([a-z-]+)", block[1]))
    return None


def main():
    root, tool = pathlib.Path(sys.argv[1]), sys.argv[2]
    commands = re.findall(r"^  (\w+) +\w", helped(tool), re.M)
    failed = 0
    known = {word for word in completions(root, "cltrain", "") if not word.startswith("-")}
    if known != set(commands):
        failed += 1
        print(f"--help lists {sorted(commands)}, the completion {sorted(known)}")
    for command in commands:
        options = set(re.findall(r"^ *--([a-z-]+)", helped(tool, command), re.M)) - {"help"}
        completed = {word[2:] for word in completions(root, "cltrain", command, "--")} - {"help"}
        for name, other in ("completion", completed), ("manual", synopsis(root, command)):
            if other != options:
                failed += 1
                print(f"{command} --help lists {sorted(options)}, the {name} {other and sorted(other)}")
    print(f"{len(commands)} commands, {failed} differences")
    return 1 if failed or not commands else 0


sys.exit(main())
