#!/bin/sh
# Runs a test on oclgrind's simulated device, which checks every memory access of every kernel.
# usage: meson test --setup oclgrind --suite oclgrind
# Its exit status does not tell about findings: they go to a log, which has to stay empty. Its compiler
# crashes when two threads use it; on one processor the library builds one program at a time. Its check of
# uninitialized values stays off: it stops at instructions that it does not know (freeze).
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
processor=$(taskset --cpu-list --pid $$ | sed 's/.*: //; s/[,-].*//')
taskset --cpu-list "$processor" oclgrind --data-races --log "$log" "$@"
status=$?
if [ -s "$log" ]; then
    echo "oclgrind found:"
    head -n 200 "$log"
    exit 1
fi
exit $status
