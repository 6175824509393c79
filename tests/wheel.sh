#!/usr/bin/env bash
# Install a built wheel and the example plugin in an environment of their own and run both in another folder.
set -euo pipefail
wheel=$(realpath "$1")
root=$(realpath "$(dirname "$0")/..")
constraints=${CONSTRAINTS-constraints.txt} # empty: none
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$root/.venv/bin/python" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet ${constraints:+--constraint "$root/$constraints"} "$wheel" pytest "$root/examples/ternary_plugin"
cd "$work"
venv/bin/quantdg --version
venv/bin/quantdg completion --line "venv/bin/quantdg run quantizer=[tern" | grep ternary
venv/bin/quantdg list | grep -A60 '^quantizer:' | grep ternary
venv/bin/quantdg check ternary
venv/bin/quantdg run quantizer=[float,ternary,nni_qat] quantizer.ternary.spec.weight_bits=2 targets=[thick] seeds=1 protocol.steps=12 protocol.start_step=6 out=runs/wheel
venv/bin/quantdg report runs/wheel --html page.html | grep "unavailable"
grep -q "use strict" page.html && grep -q "color-scheme" page.html
venv/bin/python -c "import quantdg; runs = quantdg.load('runs/wheel'); assert set(runs.accuracy.quantizer) == {'float', 'ternary'}; quantdg.quantize"
venv/bin/python -c "from quantdg.reports.tables.papers import papers; assert papers()[0].accuracies"
venv/bin/python -m pytest -q -p no:cacheprovider "$root/examples/ternary_plugin"
