#!/usr/bin/env bash
# 24 cells on a real Ray of two nodes in a private network namespace, a worker node killed on the way; ends complete.
#   VENV=.venv tests/cluster/ray.sh        (a virtual environment with quantdg[ray]; needs root and ../shared/tools/ray)
set -euo pipefail
cd "$(dirname "$0")/../.."
tools=$PWD/../shared/tools/ray
[ -r "$tools/start_ray.sh" ] || { echo "skipped: no $tools"; exit 0; }
export VENV=${VENV:-$PWD/.venv}
LAB=$(mktemp -d)
export TMPDIR=$LAB
export PYTHONPATH=$PWD/tests/cluster${PYTHONPATH:+:$PYTHONPATH}
trap 'bash "$tools/stop_ray.sh" >/dev/null 2>&1; rm -rf "$LAB"' EXIT
bash "$tools/start_ray.sh" >"$LAB/start.log" 2>&1 || { cat "$LAB/start.log"; exit 1; }
began=$SECONDS
say() { echo "[$((SECONDS - began)) s] $*"; }
"$LAB/quantdg-ray/in_ray.sh" "$VENV/bin/python" tests/cluster/sweep.py run ray "$LAB/runs" >"$LAB/driver.log" 2>&1 &
driver=$!
until find "$LAB/runs" -name "*.lease.*" 2>/dev/null | grep -q .; do kill -0 $driver || { cat "$LAB/driver.log"; exit 1; }; sleep 1; done
sleep 20
say "killing node B"; kill -9 "$(cat "$LAB/quantdg-ray/rayrun/rayletB.pid")"
wait $driver || { say "driver ended with $?"; tail -30 "$LAB/driver.log"; }
say "complete"
tail -15 "$LAB/driver.log"
"$VENV/bin/python" tests/cluster/sweep.py check "$LAB/runs"
