#!/usr/bin/env bash
# Fails when clang-format would change a C file.
set -eu
cd "$(dirname "$0")/../.."
find base certs catalog policies translate connectors audit gateway cli tests -name '*.[ch]' -print0 | xargs -0 clang-format --dry-run -Werror --ferror-limit=1
echo "format: as .clang-format says"
