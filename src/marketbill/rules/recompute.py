"""A stored trace, computed again from its text alone: every formula, every rounding, every sum.

A trace is what a sale was booked by, and it is kept for years. Nothing here looks at the code that wrote it, at a fee
schedule or at a table of rates: what is stored must explain itself, or the difference is named.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from marketbill.rules.proof.finding import Finding, Flaw
from marketbill.rules.proof.version_1 import recompute_version_1
from marketbill.rules.proof.version_2 import recompute_version_2

_VERSIONS: dict[Any, Callable[[Mapping[str, Any]], Iterable[Finding]]] = {
    1: recompute_version_1,
    2: recompute_version_2,
}


def recompute(trace: Mapping[str, Any]) -> list[Finding]:
    """What a trace says that its own arithmetic does not; empty when every amount in it is proven."""
    version = trace.get("trace_version")
    if type(version) is not int or version not in _VERSIONS:
        known = " or ".join(map(str, _VERSIONS))
        return [Finding(Flaw.MALFORMED, "sale", "trace_version", str(version), known)]
    findings: list[Finding] = []
    try:
        findings.extend(_VERSIONS[version](trace))
    except (AttributeError, KeyError, TypeError, ValueError, ArithmeticError) as error:
        # A trace that was tampered with may hold anything anywhere: that is a finding too, and no defect of ours.
        findings.append(Finding(Flaw.MALFORMED, "sale", type(error).__name__, str(error)[:80], "a whole trace"))
    return findings
