"""What each of CrewAI's event types becomes: one table, a row for each."""

from typing import Final

from bridge.crew.mapping.calls import CALLS
from bridge.crew.mapping.flows import FLOWS
from bridge.crew.mapping.integrations import INTEGRATIONS
from bridge.crew.mapping.row import Row, row_for_unknown
from bridge.crew.mapping.surroundings import SURROUNDINGS
from bridge.crew.mapping.work import WORK

TABLE: Final[dict[str, Row]] = {**WORK, **CALLS, **FLOWS, **SURROUNDINGS, **INTEGRATIONS}
"""By CrewAI's name of the type."""

__all__ = ["TABLE", "Row", "row_for_unknown"]
