"""`pixelis lint`: configs against graphs against the contract. Every finding says how to mend it."""

from __future__ import annotations

from pathlib import Path

from builder.named.specs import in_repository
from builder.rules import artifact, config, segmenter, shim, vllm, wiring
from builder.rules.base import Finding, Rule, Subject, error
from builder.spec import Pipeline, pipeline
from builder.store import Store
from builder.storing.layout import CONFIG
from builder.triton_config import Target, parse
from pixelis.errors import BuildError
from pixelis.json_text import reason
from pixelis.settings import settings

RULES: tuple[Rule, ...] = (*config.RULES, *wiring.RULES, *shim.RULES, *artifact.RULES, *segmenter.RULES, *vllm.RULES)


def lint(repository: Path | None = None, spec: Pipeline | None = None, target: Target = "embedded") -> list[Finding]:
    """Everything that is wrong with a repository, by model and rule.

    Args:
        repository: default: the settings'.
        spec: the pipeline; default: `builder.spec.pipeline()`.
        target: what will serve it.
    """
    store = Store(repository or settings().repository, settings().state)
    known = in_repository(spec or pipeline(), store)
    subject = Subject(known, store, target, {}, {})
    found = _read(subject)
    for rule in RULES:
        found.extend(rule(subject))
    return sorted(found, key=lambda finding: (known.names.index(finding.model), finding.rule, finding.message))


def _read(subject: Subject) -> list[Finding]:
    """Fill the subject's configs; what cannot be read is a finding."""
    found = []
    for name in subject.known.names:
        path = subject.store.repository / name / CONFIG
        try:
            text = path.read_text(encoding="utf-8")
            subject.configs[name] = parse(text, f"{name}/{CONFIG}")
            subject.printed[name] = text
        except FileNotFoundError:
            found.append(error(name, "config", f"{CONFIG} is missing.", config.REBUILD))
        except (OSError, UnicodeDecodeError) as problem:
            found.append(error(name, "config", f"{CONFIG} cannot be read: {reason(problem)}.", config.REBUILD))
        except BuildError as problem:
            found.append(error(name, "config", problem.message, config.REBUILD))
    return found
