#!/bin/sh
# Checks the C sources against .clang-format. usage: format.sh SOURCE_ROOT
# Versions of clang-format differ in details, so another one than 14 skips (exit 77).
cd "$1" || exit 1
tool=$(command -v clang-format-14 || command -v clang-format) || {
    echo "SKIPPED: source format (no clang-format)"
    exit 77
}
case $("$tool" --version) in
*"version 14."*) ;;
*)
    echo "SKIPPED: source format (needs clang-format 14, found $("$tool" --version))"
    exit 77
    ;;
esac
find include src tests tools -name '*.[ch]' -exec "$tool" --dry-run -Werror {} +
