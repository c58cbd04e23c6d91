#!/bin/sh
# Runs every proof there is, each part with its budget in minutes; ends at the first that fails.
# All budgets together are 80 minutes on two cores.
set -eu

part() {
    name=$1
    budget=$2
    shift 2
    echo "== $name: budget $budget min"
    started=$(date +%s)
    "$@"
    used=$(($(date +%s) - started))
    echo "== $name: took $used s of $((budget * 60)) s"
    report="$report
$(printf '%-10s %5s s of %5s s' "$name" "$used" $((budget * 60)))"
    if [ "$used" -gt $((budget * 60)) ]; then
        echo "== $name is over its budget: make it faster, or move it" >&2
        exit 1
    fi
}

report=
part lint 3 make --no-print-directory lint
part tests 15 .venv/bin/pytest -n 2 --dist worksteal --durations=10
part coverage 3 make --no-print-directory coverage
part soak 38 .venv/bin/pytest -m soak -s --durations=10
part floors 21 make --no-print-directory bench
echo "== all parts passed:$report"
