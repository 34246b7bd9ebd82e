#!/usr/bin/env bash
# cppcheck over the sources; every suppression is in tests/lint/cppcheck.txt with its reason.
set -eu
cd "$(dirname "$0")/../.."
cppcheck --quiet --std=c11 --language=c --enable=warning,portability --inline-suppr --error-exitcode=1 -j2 -I. -D_GNU_SOURCE \
    --suppressions-list=tests/lint/cppcheck.txt base certs catalog policies translate connectors audit gateway cli
echo "cppcheck: nothing found"
