#!/bin/sh
# Builds the C++ program example.cpp with the library and runs it. usage: cxx.sh SOURCE_ROOT LIBRARY CXX...
set -eu
root=$1 library=$2
shift 2
[ $# -gt 0 ] || { echo "skipped: no C++ compiler"; exit 77; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$@" -std=c++20 -Wall -Wextra -Wno-missing-field-initializers -pedantic -Werror "-I$root/include" "$root/tests/install/example.cpp" \
    -o "$folder/example" "$library" "-Wl,-rpath,$(dirname "$library")"
"$folder/example"
