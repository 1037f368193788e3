"""Walks docs/adding-an-op.md: puts its code where the page says, into a copy, and compiles what it touches.

usage: guide.py SOURCE_ROOT C_COMPILER...

Says SKIPPED for the kernel where there is no clang.
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

# First line of a code block -> the file it goes into, and the text that it stands in front of (None: a new file).
PLACES = [
    (r"CLG_UNARY\(gaussian", "include/clgrad/pointwise.def", "CLG_UNARY(neg,"),
    (r"    \{\"gaussian\"", "tests/ops/slopes.c", "    {\"neg\", "),
    (r"/\*\n \* Running sums", "src/ops/op_cumulative_sum.c", None),
    (r"CLG_OP\(cumulative_sum", "src/ops/ops.def", "CLG_OP(affine_warp,"),
    (r"/\*\* Running sums", "include/clgrad/ops.h", "#ifdef __cplusplus\n}"),
    (r"/\* Running sums of rows", "cl/cumulative_sum.cl", None),
    (r"/\* Running sums: of one", "tests/ops/cumulative_sum.c", None),
    (r"void ops_cumulative_sum_cases", "tests/ops/cases.h", "void ops_layers_cases("),
    (r"clg_tensor \*clg_gaussian_gate", "src/ops/activations.c", None),
    (r"/\*\* Gaussian gate", "include/clgrad/activations.h", "#ifdef __cplusplus\n}"),
    (r"CLG_COMPOSITION\(gaussian_gate", "src/ops/compositions.def", "CLG_COMPOSITION(argmax,"),
]
COMPILED = ["src/ops/op_table.c", "src/ops/pointwise.c", "src/ops/activations.c", "src/ops/op_cumulative_sum.c",
            "tests/ops/slopes.c", "tests/ops/cumulative_sum.c"]


def place(root, page, blocks, start, name, before):
    """Puts the block that begins like this into the file that the page names; whether there is one, and a place for it."""
    found = [block for block in blocks if re.match(start, block)]
    path = root / name
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if f"`{name}`" not in page:
        print(f"{name} is not named by the page")
        return False
    if len(found) != 1 or before and before not in text:
        print(f"{name}: {len(found)} blocks begin with {start}; {'no ' + before if found else ''}")
        return False
    path.write_text(text.replace(before, found[0] + before, 1) if before else text + found[0], encoding="utf-8")
    return True


def compiles(command, root, name):
    result = subprocess.run([*command, str(root / name)], capture_output=True, text=True)
    print(f"{name}: exit status {result.returncode}\n{result.stderr}", end="")
    return result.returncode == 0


def main():
    source, compiler = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:]
    page = (source / "docs" / "adding-an-op.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```c\n(.*?)```", page, re.S)
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        for folder in "include", "src", "tests", "cl":
            shutil.copytree(source / folder, root / folder)
        good = [place(root, page, blocks, *row) for row in PLACES]
        command = [*compiler, "-std=c11", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-Wmissing-prototypes", "-Wno-unused-parameter",
                   "-Wno-missing-field-initializers", "-D_GNU_SOURCE", "-DCL_TARGET_OPENCL_VERSION=120",
                   *(f"-I{root / folder}" for folder in ("include", "src", "tests"))]
        good += [compiles(command, root, path) for path in COMPILED]
        if shutil.which("clang"):
            good.append(compiles(["clang", "-x", "cl", "-cl-std=CL1.2", "-fsyntax-only", "-Xclang",
                                  "-finclude-default-header", "-Wall", "-Werror"], root, "cl/cumulative_sum.cl"))
        else:
            print("SKIPPED: the kernel (no clang)")
    return 0 if all(good) and len(blocks) == len(PLACES) else 1


sys.exit(main())
