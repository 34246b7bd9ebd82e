#!/usr/bin/env bash
# Every script is well-formed in its own language: bash -n, Python's compiler, php -l. Nothing is run.
set -eu
cd "$(dirname "$0")/../.."
bad=0 n=0
while IFS= read -r file; do
    first=
    IFS= read -r first <"$file" || true
    case $first in
    '#!'*bash | '#!/bin/sh'*) language=bash ;;
    '#!'*python3) language=python ;;
    '#!'*php) language=php ;;
    *) case $file in *.sh) language=bash ;; *.py) language=python ;; *.php) language=php ;; *) continue ;; esac ;;
    esac
    case $language in
    bash) check=(bash -n "$file") ;;
    python) check=(python3 -c 'import sys; compile(open(sys.argv[1], encoding="utf-8").read(), sys.argv[1], "exec")' "$file") ;;
    php) check=(php -l "$file") ;;
    esac
    n=$((n + 1))
    said=$("${check[@]}" 2>&1) || {
        printf '%s\n' "$said"
        bad=$((bad + 1))
    }
    case $first in '#!'*) [ -x "$file" ] || { echo "$file: begins with #! and is not executable" && bad=$((bad + 1)); } ;; esac
done < <(grep -rIl '' .ci cmake demo docs tests ./*.md --exclude-dir=__pycache__ --exclude-dir=seeds | sort)
echo "scripts: $n, $bad ill-formed"
[ "$bad" = 0 ] && [ "$n" -gt 20 ]
