#!/bin/sh
# Finds what the set-up needs, says in plain words what is missing, and hands over to bootstrap.py.
#
# Usage: sh scripts/bootstrap.sh run|dev|lock
# CROWDALPHA_PYTHON names an interpreter to use instead of the first fitting one.

set -eu
cd "$(dirname "$0")/.."

fits='import sys; sys.exit(not ((3, 11) <= sys.version_info[:2] < (3, 14)))'
venv='import ensurepip, venv'
python=''
without_venv=''
seen=''

for candidate in ${CROWDALPHA_PYTHON:-python3.11 python3.12 python3.13 python3 python}; do
    command -v "$candidate" >/dev/null 2>&1 || continue
    # A launcher may stand for an interpreter that is not there: only one that answers counts.
    version=$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
    if ! "$candidate" -c "$fits" >/dev/null 2>&1; then
        seen="$seen $candidate is Python $version;"
        continue
    fi
    if "$candidate" -c "$venv" >/dev/null 2>&1; then
        python=$candidate
        break
    fi
    without_venv=${without_venv:-$candidate}
done

missing=0
say() {
    missing=1
    printf 'Missing: %s\n' "$1" >&2
}

if [ -z "$python" ] && [ -n "$without_venv" ]; then
    say "the venv module of $without_venv. On Debian or Ubuntu: apt install python3-venv"
elif [ -z "$python" ]; then
    say "Python 3.11, 3.12 or 3.13 (found:${seen:- none}). On Debian or Ubuntu: apt install python3 python3-venv"
fi
command -v git >/dev/null 2>&1 || say 'git. On Debian or Ubuntu: apt install git'
command -v make >/dev/null 2>&1 || say 'make. On Debian or Ubuntu: apt install make'
[ "$missing" -eq 0 ] || exit 2

exec "$python" scripts/bootstrap.py "${1:-run}"
