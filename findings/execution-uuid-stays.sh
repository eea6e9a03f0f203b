#!/usr/bin/env bash
# set_execution_uuid() names every later kickoff of its context, too (CrewAI 1.15.30).
#
# Two kickoffs get two execution ids. After one set_execution_uuid("job-7") each kickoff in the same context is
# "job-7", until the token that it returned is given to clear_execution_uuid(). A crew's id is random with every
# object, so that it says nothing about which crew it is; its key is the same for equal crews.
# (Downloads 1 GB. No model is called.)
# Seen:
#   without: 2 ids for 2 kickoffs
#   after one set_execution_uuid("job-7"): job-7 job-7 job-7 job-7
#   two equal crews: other id, same key
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" --quiet --disable-pip-version-check install crewai==1.15.30

export CREWAI_DISABLE_TELEMETRY=true CREWAI_TRACING_ENABLED=false OTEL_SDK_DISABLED=true
export HOME=$work XDG_DATA_HOME=$work/data
cd "$work"
"$work/venv/bin/python" - <<'EOF'
import sys

from crewai import Agent, BaseLLM, Crew, Task
from crewai.events import CrewKickoffStartedEvent, crewai_event_bus
from crewai.execution import get_execution_uuid, set_execution_uuid

ids = []


class Model(BaseLLM):
    def call(self, messages, *args, **kwargs):
        return "Thought: I know.\nFinal Answer: 42"


@crewai_event_bus.on(CrewKickoffStartedEvent)
def note(source, event):
    ids.append(get_execution_uuid())


def kicked_off():
    agent = Agent(role="r", goal="g", backstory="b", llm=Model(model="fixed"))
    crew = Crew(agents=[agent], tasks=[Task(description="d", expected_output="e", agent=agent)])
    crew.kickoff()
    crewai_event_bus.flush()
    return crew


one, other = kicked_off(), kicked_off()
without = len(set(ids))
ids.clear()
set_execution_uuid("job-7")
for _ in range(4):
    kicked_off()
same = "same" if one.key == other.key else "other"
print(f"without: {without} ids for 2 kickoffs")
print(f'after one set_execution_uuid("job-7"): {" ".join(ids)}')
print(f"two equal crews: {'same' if one.id == other.id else 'other'} id, {same} key")
sys.exit((without, ids, one.id == other.id, same) != (2, ["job-7"] * 4, False, "same"))
EOF
