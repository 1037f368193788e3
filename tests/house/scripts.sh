#!/bin/sh
# Runs shellcheck on every shell script, and compiles every Python script.
# usage: scripts.sh SOURCE_ROOT; exits 77 (skipped) without shellcheck.
cd "$1" || exit 1
find cl tests tools -name '*.py' -exec python3 -c '
import ast, sys
for path in sys.argv[1:]:
    ast.parse(open(path, encoding="utf-8").read(), path)' {} + || exit 1
command -v shellcheck >/dev/null || {
    echo "SKIPPED: shell scripts (no shellcheck)"
    exit 77
}
set --
for script in .ci/run tools/* tests/*.sh tests/*/*.sh; do
    if [ -f "$script" ] && head -n 1 "$script" | grep -Eq '^#!.*\b(sh|bash)$'; then
        set -- "$@" "$script"
    fi
done
shellcheck --shell=bash docs/cltrain.bash && shellcheck "$@" && echo "$(($# + 1)) shell scripts"
