"""Rows for flows, and for the people and conversations in them."""

from typing import Final

from bridge.crew.mapping.fields import FAILURE, answer, count, elapsed, label, names, outcome, values
from bridge.crew.mapping.page import Page
from bridge.crew.mapping.row import Row

_NAME: Final = {"name": label("flow_name")}
_METHOD: Final = {"method": label("method_name", "unknown"), **_NAME}
_SESSION: Final = {"session": label("session_id"), **_NAME}


def _resumed(page: Page, name: str) -> None:
    if page.context.resumes:
        page.data[name] = True


FLOWS: Final[dict[str, Row]] = {
    "flow_created": Row("custom.flow_created", **_NAME),
    "flow_started": Row("flow.started", inputs=values("inputs"), resumed=_resumed, **_NAME),
    "flow_finished": Row("flow.completed", result=outcome("result"), duration_ms=elapsed, **_NAME),
    "flow_failed": Row("flow.failed", **_NAME, **FAILURE),
    "flow_paused": Row("flow.paused", message=answer("message"), **_METHOD),
    "flow_plot": Row("custom.flow_plot", **_NAME),
    "method_execution_started": Row("flow.method_started", **_METHOD),
    "method_execution_finished": Row(
        "flow.method_completed", result=outcome("result"), duration_ms=elapsed, **_METHOD
    ),
    "method_execution_failed": Row("flow.method_failed", **_METHOD, **FAILURE),
    "method_execution_paused": Row("custom.flow_method_paused", message=answer("message"), **_METHOD),
    "flow_input_requested": Row("human.input_requested", prompt=answer("message"), **_METHOD),
    "flow_input_received": Row("human.input_received", feedback=answer("response"), **_METHOD),
    "human_feedback_requested": Row(
        "human.input_requested",
        prompt=answer("message"),
        request=label("request_id"),
        choices=names("emit"),
        **_METHOD,
    ),
    "human_feedback_received": Row(
        "human.input_received",
        feedback=answer("feedback"),
        outcome=label("outcome"),
        request=label("request_id"),
        **_METHOD,
    ),
    "conversation_turn_started": Row("custom.conversation_turn_started", **_SESSION),
    "conversation_turn_completed": Row("custom.conversation_turn_completed", **_SESSION),
    "conversation_turn_failed": Row("custom.conversation_turn_failed", **_SESSION, **FAILURE),
    "conversation_message_added": Row(
        "custom.conversation_message_added",
        role=label("role"),
        message=answer("content"),
        index=count("message_index"),
        **_SESSION,
    ),
    "conversation_route_selected": Row(
        "custom.conversation_route_selected", route=label("route"), **_SESSION
    ),
}
