"""Writes the dashboards as the JSON that Grafana reads: ``python -m grafana.generate``."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from grafana.boards.connections import connections
from grafana.boards.crews import crews
from grafana.boards.delivery import delivery
from grafana.boards.feed import feed
from grafana.boards.overview import overview

DIRECTORY: Final = Path(__file__).parent / "dashboards"


def rendered() -> Mapping[str, str]:
    """The text of every dashboard, by the name of its file."""
    boards = {
        "overview": overview,
        "delivery": delivery,
        "connections": connections,
        "feed": feed,
        "crews": crews,
    }
    return {
        f"{name}.json": json.dumps(made().build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"
        for name, made in boards.items()
    }


def main() -> None:
    """Replace what is there."""
    for old in DIRECTORY.glob("*.json"):
        old.unlink()
    for name, text in rendered().items():
        (DIRECTORY / name).write_text(text)


if __name__ == "__main__":
    main()
