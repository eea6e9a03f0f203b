"""The results as pictures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

_COLOURS: Final = {"bridge": "#2a6fbb", "nats": "#e08a1e", "naive": "#9a9a9a"}
_NAMES: Final = {"bridge": "Crew Bridge", "nats": "nats-server's WebSocket", "naive": "naive aiohttp bridge"}
_PICTURES: Final = {
    "cpu": ("cpu_us", "µs of server CPU per event delivered"),
    "p99": ("p99_ms", "p99 from publication to browser, ms"),
}

_WHOLE: Final = 100
"""Figures from here on need no decimals."""


def draw(held: Mapping[str, Any], directory: Path) -> None:
    """One picture for each figure, ``<name>.png``."""
    scenarios = held.get("scenarios")
    if not scenarios:
        return
    for name, (figure, label) in _PICTURES.items():
        _bars(scenarios, figure, label, directory / f"{name}.png")


def _label(value: float) -> str:
    return f"{value:,.0f}" if value >= _WHOLE else f"{value:.3g}"


def _bars(scenarios: Mapping[str, Any], figure: str, label: str, path: Path) -> None:
    shape, axes = plt.subplots(figsize=(9, 0.6 * len(scenarios) + 1.5))
    for n, server in enumerate(_COLOURS):
        places, values = [], []
        for place, one in enumerate(scenarios.values()):
            if server in one["outcomes"]:
                places.append(place + (n - 1) * 0.27)
                values.append(one["outcomes"][server]["median"][figure])
        bars = axes.barh(places, values, 0.25, color=_COLOURS[server], label=_NAMES[server])
        axes.bar_label(bars, fmt=_label, padding=3, fontsize=7)
    axes.set_yticks(
        range(len(scenarios)), [one["scenario"]["title"] for one in scenarios.values()], fontsize=7
    )
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.margins(x=0.12)
    axes.set_xlabel(f"{label} (logarithmic; less is better)")
    axes.legend(fontsize=8)
    shape.savefig(path, dpi=110, bbox_inches="tight")
    plt.close(shape)
