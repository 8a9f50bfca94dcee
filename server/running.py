"""What `pixelis doctor` says of servers that run: every model is asked, by a real inference, whether it lives.

Triton itself says of a model whose process has died that it is ready.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from pixelis.errors import PixelisError
from pixelis.settings import Settings
from server import health, remains
from server.checks import Finding
from server.control import Control
from server.probes import Dead, Prober, Silent

PATIENCE_S = 5.0
_ASKED_AT_ONCE = 4


def servers(config: Settings) -> list[remains.Record]:
    """The live servers of a state folder."""
    return [record for record in remains.records(config.state.absolute() / "servers").values() if record.alive]


def examine(config: Settings) -> list[Finding]:
    """A line for every live server, and what is wrong with its models."""
    findings = []
    for record in servers(config):
        detail = f"a Triton of this state folder runs on port {record.ports[0]}, log {record.log}"
        findings += [Finding("server", "ok", detail), *_models(config, record)]
    return findings


def _models(config: Settings, record: remains.Record) -> list[Finding]:
    noted = health.read(config.state.absolute() / "health", record.ports[0])
    control = Control(f"{config.server.host}:{record.ports[1]}")
    try:
        answers = _ask(control)
    except PixelisError as error:
        mend = f"It may still be starting: see {record.log}."
        return [Finding("models", "warning", f"The server does not say what it serves: {error.message}", mend)]
    finally:
        control.close()
    findings = [finding for finding in answers if finding.level != "ok"]
    repaired = ", ".join(f"{name} {model.repairs}" for name, model in noted.items() if model.repairs)
    watched = f"repaired: {repaired or 'none'}" if noted else "no watchdog"
    if not findings:
        return [Finding("models", "ok", f"{len(answers)} models answer; {watched}")]
    for name, model in noted.items():
        if model.state == "dead":
            mend = f"The watchdog tries again; the reason is in {record.log}."
            findings.append(Finding("repair", "warning", f"Model `{name}` could not be repaired: {model.reason}", mend))
    return findings


def _ask(control: Control) -> list[Finding]:
    """One finding for each model that can be asked."""
    prober = Prober(control)
    configs = {name: control.config(name) for name in control.answered()}
    known = [name for name, config in configs.items() if prober.knows(name, config)]

    def one(name: str) -> Finding:
        try:
            if not prober.ask(name, configs[name], PATIENCE_S):
                mend = "Mend the step before it."
                return Finding("models", "warning", f"Model `{name}` could not be asked: it needs another one.", mend)
        except Dead as error:
            mend = "The watchdog of a server loads it again; without one, restart the server."
            return Finding("models", "missing", f"Model `{name}` is dead: {error}.", mend)
        except Silent as error:
            mend = "It has much to do, or hangs; the watchdog of a server tells which."
            return Finding("models", "warning", f"Model `{name}` is silent: {error}.", mend)
        except PixelisError as error:
            return Finding("models", "warning", f"Model `{name}` was not reached: {error.message}", "Try again.")
        return Finding("models", "ok", f"`{name}` answers")

    with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
        return list(pool.map(one, known))
