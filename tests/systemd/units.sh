#!/usr/bin/env bash
# Checks the units with systemd's own tools: nothing is wrong with them (`systemd-analyze verify`), and
# little is open to the service (`systemd-analyze security`, from 0, nothing, to 10, everything); and that
# the journal takes the catalogue of messages (`journalctl --update-catalog`) and finds each in it.
#
# usage: units.sh PROGRAM [DIRECTORY]
# PROGRAM stands for the meetbridge that ExecStart= names; units, drop-ins and catalogue are those in systemd/, or in
# DIRECTORY. Nothing is installed, no systemd need run.
set -euo pipefail
program=$(realpath "${1:?usage: units.sh PROGRAM [DIRECTORY]}")
cd "${2:-$(dirname "$0")/../../systemd}"

# The most that may be open, in tenths.
most=15

if ! command -v systemd-analyze >/dev/null; then
    echo "systemd-analyze is not installed; install systemd (Debian: apt-get install systemd)" >&2
    exit 1
fi
version=$(systemd-analyze --version | awk 'NR == 1 { print $2 }')
version=${version%%[!0-9]*}

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

# Puts a unit, with the drop-ins NAME.conf, into a directory of its own.
put() { # UNIT PLACE [DROP-IN...]
    local unit=$1 place=$2 name
    shift 2
    mkdir -p "$place/$unit.d"
    sed "s|^ExecStart=meetbridge |ExecStart=$program |" "$unit" >"$place/$unit"
    if [ "$version" -lt 253 ]; then
        # What is not known there is ignored and would be told; before-253.conf stands in for it.
        sed -i '/^Type=notify-reload$/d' "$place/$unit"
        cp before-253.conf "$place/$unit.d/"
    fi
    for name; do cp "$name.conf" "$place/$unit.d/"; done
}

check() { # UNIT [DROP-IN...]
    local at="$place/$*" told
    mkdir -p "$at"
    put "$1" "$at" "${@:2}"
    # An instance is verified as one.
    local unit=${1/@./@name.}
    [ "$unit" = "$1" ] || { mv "$at/$1" "$at/$unit"; mv "$at/$1.d" "$at/$unit.d"; }
    told=$(SYSTEMD_UNIT_PATH="$at:" systemd-analyze verify --man=no --recursive-errors=no "$at/$unit" 2>&1) || {
        echo "$*: systemd-analyze verify: $told" >&2
        exit 1
    }
    [ -z "$told" ] || { echo "$*: systemd-analyze verify: $told" >&2; exit 1; }
    told=$(SYSTEMD_UNIT_PATH="$at:" systemd-analyze security --no-pager --offline=true --threshold="$most" "$at/$unit" 2>&1) || {
        echo "$told" >&2
        echo "$*: more is open than $((most / 10)).$((most % 10))" >&2
        exit 1
    }
    echo "$*: in order; $(tail -1 <<<"$told")"
}

for unit in meetbridge.service meetbridge@.service; do
    check "$unit"
    check "$unit" calendars
    check "$unit" directory
done

catalog=meetbridge.catalog
mkdir -p "$place/root/usr/lib/systemd/catalog" "$place/root/var/lib/systemd/catalog"
cp "$catalog" "$place/root/usr/lib/systemd/catalog/"
told=$(journalctl --root="$place/root" --update-catalog 2>&1) || { echo "$catalog: $told" >&2; exit 1; }
[ -z "$told" ] || { echo "$catalog: $told" >&2; exit 1; }
mapfile -t ids < <(sed -n 's/^-- //p' "$catalog")
for id in "${ids[@]}"; do
    told=$(journalctl --root="$place/root" --dump-catalog "$id" 2>&1)
    [[ $told == *"Defined-By: meetbridge"* ]] || { echo "$catalog: $id: $told" >&2; exit 1; }
done
echo "$catalog: ${#ids[@]} messages"
