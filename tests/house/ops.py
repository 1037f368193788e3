"""Checks that the table of operations is complete.

usage: ops.py SOURCE_ROOT CLTRAIN C_COMPILER...

Every public builder - a function clg_<name> that returns a clg_tensor - is a row <name> of `cltrain ops`,
and every row that is no operation of nodes has its builder. The file of tests that a row names exists
(that it exercises the row is for test_ops.c to say).
"""
import json
import pathlib
import re
import subprocess
import sys

# Functions that return a tensor and record no operation, or one of another name.
NO_ROWS = {
    "clg_constant": "variable", "clg_scalar": "full", "clg_graph_find": None, "clg_graph_variable": None,
}
# Kinds of operations of nodes; their builders may have other names (clg_sum records reduce_sum).
OF_NODES = {"pointwise", "kernel", "view", "source", "state", "mode"}
INTERNAL = {"reduce_sum", "reduce_max"}


def builders(root, compiler):
    command = [*compiler, "-E", "-P", f"-I{root / 'include'}", str(root / "include/clgrad/clgrad.h")]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return set(re.findall(r"\bclg_tensor\s*\*\s*(clg_\w+)\s*\(", text))


def main():
    root, cltrain, compiler = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2], sys.argv[3:]
    listing = subprocess.run([cltrain, "ops", "--json"], check=True, capture_output=True, text=True).stdout
    rows = {row["name"]: row for row in map(json.loads, listing.splitlines())}
    public = builders(root, compiler)
    complaints = [f"{name} has no row in the table (src/ops/compositions.def)" for name in sorted(public)
                  if name not in NO_ROWS and name[len("clg_"):] not in rows]
    for name, row in rows.items():
        if row["kind"] not in OF_NODES and name not in INTERNAL and f"clg_{name}" not in public:
            complaints.append(f"row {name}: there is no builder clg_{name}")
        if not (root / "tests" / row["tests"]).is_file():
            complaints.append(f"row {name}: tests/{row['tests']} does not exist")
    print("\n".join(complaints + [f"{len(rows)} rows, {len(public)} builders, {len(complaints)} complaints"]))
    return 1 if complaints or not rows else 0


sys.exit(main())
