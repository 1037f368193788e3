#!/bin/sh
# Installs into an empty folder and builds and runs an application with what pkg-config says about
# the installed library, first shared, then static. usage: check.sh BUILD_ROOT EXAMPLE.c CC...
set -eu
build=$1 example=$2
shift 2
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
DESTDIR=$root meson install -C "$build" --no-rebuild --quiet

config=$(find "$root" -name clgrad.pc)
[ -f "$config" ] || { echo "clgrad.pc was not installed"; exit 1; }
PKG_CONFIG_PATH=$(dirname "$config")
export PKG_CONFIG_PATH
PKG_CONFIG_SYSROOT_DIR=$root # what DESTDIR put in front of every path
export PKG_CONFIG_SYSROOT_DIR
library=$(find "$root" -name libclgrad.a)

# Who uses the shared library needs its headers and itself, and nothing of what it is made with.
shared=$(pkg-config --cflags --libs clgrad)
echo "shared: $shared"
for flag in $shared; do
    case $flag in
    "-I$root"* | "-L$root"* | -lclgrad) ;;
    *) echo "pkg-config gives $flag for the shared library"; exit 1 ;;
    esac
done
# shellcheck disable=SC2046 # flags are words
"$@" -std=c11 -Wall -Wextra -pedantic -Werror "$example" -o "$root/shared" \
    $(pkg-config --cflags --libs clgrad)
LD_LIBRARY_PATH=$(dirname "$library")${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} "$root/shared"

echo "static: $(pkg-config --static --libs clgrad)"
# shellcheck disable=SC2046
"$@" -std=c11 -Wall "$example" -o "$root/static" $(pkg-config --cflags clgrad) "$library" \
    $(pkg-config --static --libs clgrad | sed 's/-lclgrad//')
"$root/static" >/dev/null

# It finds its library by itself: the prefix need not be known to the loader.
env -u LD_LIBRARY_PATH ldd "$(find "$root" -path '*/bin/cltrain')" | grep -q "libclgrad.*$root" ||
    { echo "the installed cltrain does not find the installed library"; exit 1; }

for file in share/doc/clgrad/LICENSE share/doc/clgrad/model-files.md share/man/man1/cltrain.1 bin/cltrain; do
    found=$(find "$root" -path "*/$file*")
    [ -n "$found" ] || { echo "not installed: $file"; exit 1; }
done
echo "installed: $(find "$root" -type f ! -name shared ! -name static | wc -l) files"
