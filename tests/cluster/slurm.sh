#!/usr/bin/env bash
# 24 cells on a real Slurm of two nodes: submit and exit, a time limit, a node and a driver killed, a preemption; ends
# complete.
#   PYTHON=.venv/bin/python tests/cluster/slurm.sh        (needs quantdg[slurm], root, and ../shared/tools/slurm)
set -euo pipefail
cd "$(dirname "$0")/../.."
tools=$PWD/../shared/tools/slurm
[ -x "$tools/start_slurm.sh" ] || [ -r "$tools/start_slurm.sh" ] || { echo "skipped: no $tools"; exit 0; }
PYTHON=${PYTHON:-python3}
LAB=$(mktemp -d); chmod 755 "$LAB"
export ROOT=${ROOT:-$LAB/slurm} DBD=0 CPUS=4
export PYTHONPATH=$PWD/tests/cluster${PYTHONPATH:+:$PYTHONPATH}
driver=
trap '[ -n "$driver" ] && kill -9 "$driver" 2>/dev/null; bash "$tools/stop_slurm.sh" --purge >/dev/null; rm -rf "$LAB"' EXIT
bash "$tools/start_slurm.sh" >"$LAB/start.log" 2>&1 || { tail "$LAB/start.log"; exit 1; }
. "$ROOT/env.sh"
options='{"partition": "main", "minutes": 1, "signal_seconds": 20, "poll_seconds": 2, "parallel": 8}'
began=$SECONDS
say() { echo "[$((SECONDS - began)) s] $*"; }
"$PYTHON" tests/cluster/sweep.py run slurm "$LAB/runs" "${options%\}}, \"wait\": false}"
say "submitted, the driver has ended; jobs: $(squeue --noheader --array | wc -l)"
"$PYTHON" tests/cluster/sweep.py run slurm "$LAB/runs" "$options" >"$LAB/driver.log" 2>&1 &
driver=$!
until squeue --noheader --states=R | grep -q n2; do kill -0 $driver || { cat "$LAB/driver.log"; exit 1; }; sleep 1; done
sleep 20
say "killing node n2"; bash "$tools/kill_node.sh" n2
say "killing the driver"; kill -9 $driver; wait $driver 2>/dev/null || true
say "preempting n1"; srun --partition=high --nodelist=n1 --exclusive --time=1 sleep 3 2>/dev/null
bash "$tools/revive_node.sh" n2 >/dev/null
say "a second driver follows"
"$PYTHON" tests/cluster/sweep.py run slurm "$LAB/runs" "$options" >"$LAB/driver2.log" 2>&1 &
driver=$!
wait $driver || { say "driver ended with $?"; tail -20 "$LAB/driver2.log"; }
driver=
say "complete"
tail -15 "$LAB/driver2.log"
late=$(grep -l 'timed-out\|timed out\|Caught signal SIGUSR2' "$LAB"/runs/slurm/*.out "$LAB"/runs/slurm/*.err 2>/dev/null | wc -l)
echo "requeued after a time limit: $late logs"
[ "$late" -gt 0 ]
echo "arrays submitted: $(ls "$LAB"/runs/slurm/array-*.json | wc -l)"
"$PYTHON" tests/cluster/sweep.py check "$LAB/runs"
