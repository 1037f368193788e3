"""Adds up the results of `meson test` runs.

usage: summary.py [--steps PASSED FAILED] TESTLOG.json...

A Check executable counts as many tests as its summary line says, anything else as one. What was
skipped is listed with its reason. --steps adds work that is no meson test. The last line is "N passed, N failed"; exit status 1 if any failed
or nothing ran.
"""
import json
import re
import sys

CHECK = re.compile(r"^\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)", re.M)


def count(test):
    """Passed and failed tests of one executable."""
    good = test["result"] in ("OK", "EXPECTEDFAIL")
    match = CHECK.search(test.get("stdout") or "")
    if not match:
        return int(good), int(not good)
    total, failed = int(match[1]), int(match[2]) + int(match[3])
    if not good and not failed:
        failed = 1  # crashed or timed out, or a sanitizer complained, after the summary
        total = max(total, 1)
    return total - failed, failed


def main():
    paths, passed, failed = sys.argv[1:], 0, 0
    if paths[0] == "--steps":
        passed, failed, paths = int(paths[1]), int(paths[2]), paths[3:]
    for path in paths:
        with open(path, encoding="utf-8") as log:
            tests = [json.loads(line) for line in log]
        for test in tests:
            output = (test.get("stdout") or "").splitlines()
            reasons = [line for line in output if line.startswith("SKIPPED")]
            if test["result"] == "SKIP":
                print(f"{test['name']}: {reasons[0] if reasons else 'SKIPPED'}")
                continue
            for reason in reasons:
                print(f"{test['name']}: {reason}")
            good, bad = count(test)
            passed, failed = passed + good, failed + bad
            if bad:
                print(f"{test['name']}: {bad} FAILED ({test['result']})")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


sys.exit(main())
