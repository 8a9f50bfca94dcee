"""What may come back, and what may not."""

from __future__ import annotations

import json

from perf.fuzz.case import Case
from perf.fuzz.send import Answer
from pixelis.errors import DeadlineExceeded, RequestError, code_of, from_wire
from pixelis.schema import GroupResult, OperationResult, PipelineResult

LONGEST = 4000
"""Characters of an error: a reader wants to read it, and gRPC carries no 8 KiB of it."""


def judged(case: Case, answer: Answer) -> tuple[str, str | None]:
    """What an answer is, and what is wrong with it.

    Right are a result, a typed `error` in a result, and a refusal that says that it is the caller's fault; for a whole
    request also that its own time ran out.

    Returns:
        `result`, `error in the result`, or the code of the refusal; and the fault, none where there is none.
    """
    if answer.status == 0:
        return "no answer", f"no answer after {answer.seconds:.0f} s: {answer.said[:300]}"
    if answer.status == 200:
        try:
            return _result(case, answer.said)
        except ValueError as error:
            return "malformed", f"the result is none: {error}"
    code = code_of(answer.said) or "Triton's own"
    if "Traceback" in answer.said or len(answer.said) > LONGEST:
        return code, f"the error is not for readers: {answer.said[:300]}"
    if answer.status in (400, 404, 413):
        return code, _mislabelled(answer.said)
    late = case.model == "pixelis" and isinstance(from_wire(answer.said), DeadlineExceeded)
    return code, None if late else f"{answer.status}: {answer.said[:300]}"


def _mislabelled(said: str) -> str | None:
    """A refusal that is ours has a code of the caller's faults; Triton's own words have none."""
    error = from_wire(said)
    if code_of(said) is None or isinstance(error, RequestError):
        return None
    return f"called the caller's fault: {said[:300]}"


def _result(case: Case, said: str) -> tuple[str, str | None]:
    if case.model == "pixelis":
        PipelineResult.model_validate_json(said)
        return "result", None
    grouped = "results" in json.loads(said)
    results = GroupResult.model_validate_json(said).results if grouped else [OperationResult.model_validate_json(said)]
    for one in results:
        fault = _fault(one)
        if fault is not None:
            return "error in the result", fault
    return ("error in the result" if any(one.error for one in results) else "result"), None


def _fault(one: OperationResult) -> str | None:
    if one.error is None:
        return None
    if one.result:
        return "a result and an error"
    if len(one.error) > LONGEST or "Traceback" in one.error:
        return f"the error is not for readers: {one.error[:300]}"
    code = code_of(one.error)
    wrong = code is not None and not isinstance(from_wire(one.error), RequestError)
    return f"an error that is not the caller's: {one.error[:300]}" if wrong else None
