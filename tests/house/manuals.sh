#!/bin/sh
# Checks the manual pages with mandoc. usage: manuals.sh SOURCE_ROOT
# Exits 77 (skipped) without mandoc. The date and the missing operating system are not our business.
cd "$1/docs" || exit 1
command -v mandoc >/dev/null || {
    echo "SKIPPED: manual pages (no mandoc)"
    exit 77
}
mandoc -T lint -W warning ./*.1
