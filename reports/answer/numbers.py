"""The answer and every claim as JSON, for scripts."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

from ..frames.results import Results
from ..verdict.judge import AlgorithmVerdict, Scope, Verdict
from .answer import QUESTION, answer_of


def as_json(verdict: Verdict, results: Results) -> str:
    """Write the answer, then each scope with its claims; what is no number is null, points and p-values in full."""
    answer = answer_of(verdict, results)
    said = {name: getattr(answer, name, "") for name in ("word", "sentence", "takes", "beyond", "controls", "counts")}
    whole = {
        "question": QUESTION,
        "answer": said,
        "rules": asdict(verdict.rules),
        "scopes": [_scope(scope) for scope in verdict.scopes],
    }
    return json.dumps(_finite(whole), indent=1, ensure_ascii=False)


def _scope(scope: Scope) -> dict[str, Any]:
    names = {name: getattr(scope, name) for name in ("name", "selection", "domains", "seeds")}
    return {**names, "unit": scope.units.word, "algorithms": [_algorithm(judged) for judged in scope.algorithms]}


def _algorithm(judged: AlgorithmVerdict) -> dict[str, Any]:
    return {
        "algorithm": judged.algorithm,
        "every": asdict(judged.conjunction),
        "quantizers": [asdict(c) for c in judged.quantizers],
        "controls": [{"quantizer": c.quantizer, "control": c.control, **asdict(c.claim)} for c in judged.controls],
        "averaging": [{"quantizer": i.quantizer, "average": i.average, **asdict(i.claim)} for i in judged.interactions],
        "over erm": [{"equivalence": d.answer, **asdict(d.claim)} for d in judged.differences],
    }


def _finite(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
