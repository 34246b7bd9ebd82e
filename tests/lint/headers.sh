#!/usr/bin/env bash
# Every header compiles alone.
set -eu
cd "$(dirname "$0")/../.."
bad=0 n=0
flags="-std=c17 -D_GNU_SOURCE -DLLHTTP_STRICT_MODE=1 -I. -I/usr/share/include -I/usr/share/include/llhttp -fsyntax-only -Wall -Wextra $(pkg-config --cflags libxml-2.0)"
while IFS= read -r header; do
    n=$((n + 1))
    # shellcheck disable=SC2086
    printf '#include "%s"\n' "$header" | ${CC:-cc} $flags -x c - || bad=$((bad + 1))
done < <(find base certs catalog policies translate connectors audit gateway cli -name '*.h' | sort)
echo "headers: $n, $bad do not compile alone"
[ "$bad" = 0 ]
