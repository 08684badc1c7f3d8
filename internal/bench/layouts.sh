#!/usr/bin/env bash
# Runs the suite under several link layouts, since where the linker puts the
# interpreter's loop moves it by a third, and prints the median of the geomeans.
# Usage: internal/bench/layouts.sh [layouts, default 5] [Suite|Holdout]
set -euo pipefail
cd "$(dirname "$0")"
layouts=${1:-5} bench=${2:-Suite}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
for seed in $(seq "$layouts"); do
	go test -c -ldflags="-randlayout=$seed" -o "$tmp/bench" .
	"$tmp/bench" -test.run '^$' -test.bench "$bench\$" >"$tmp/out"
	grep '^geomean' "$tmp/out" | tee -a "$tmp/all" | sed "s/^/layout $seed: /"
done
for what in 'interp/plain' 'interp ns/insn'; do
	grep "geomean $what" "$tmp/all" | awk '{print $NF}' | sort -n |
		awk -v what="$what" '{v[NR]=$1} END {printf "median geomean %s: %s\n", what, v[int((NR+1)/2)]}'
done
