"""What was found, from now on: settings into the state folder, forms and configurations by a build."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic_settings import TomlConfigSettingsSource

from builder.building.build import BuildReport, build
from builder.storing.chosen import Choice as Form
from perf.settings_file import toml
from perf.tuning.knobs import Choice
from pixelis.draft import replace_text
from pixelis.settings import TUNED, Settings, settings


def apply(choice: Choice, why: str, state: Path, watch: Callable[[str, str], None]) -> BuildReport:
    """Write what `choice` sets into `<state>/tuned.toml`, beside what is there, and build with it.

    Forms are remembered as `pixelis build --publish` remembers them.

    Raises:
        PixelisError: the build does not go.
    """
    path = state.absolute() / TUNED
    before = TomlConfigSettingsSource(Settings, path).toml_data
    replace_text(path, toml(merged(before, choice.settings)))
    settings.cache_clear()  # what this process read is older
    forms = {model: Form(label=label, why=why) for model, label in choice.forms.items()}
    return build(forms=forms, watch=watch)


def merged(before: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`before`, with `changes` in their places."""
    found = dict(before)
    for name, value in changes.items():
        inner = found.get(name)
        found[name] = merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return found
