"""A task that records a span with the SDK of OpenTelemetry, and emits an event with the client of OpenLineage.

It mentions neither Bootlace nor a scheduler. It prints what the two libraries have made of its environment.
"""

import json
import os
import tempfile
from datetime import datetime, timezone

from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import Job, Run, RunEvent, RunState
from openlineage.client.uuid import generate_new_uuid, generate_static_uuid
from openlineage.common.provider.dbt.utils import get_parent_run_metadata
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator


def span():
    """The span of the task, as an exporter gets it. The resource of the provider comes from the environment."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    carrier = {"traceparent": os.environ.get("TRACEPARENT", "")}
    parent = TraceContextTextMapPropagator().extract(carrier)
    with provider.get_tracer("task").start_as_current_span("load", context=parent):
        pass
    (span,) = exporter.get_finished_spans()
    return json.loads(span.to_json())


def event():
    """The event of the task, as a server gets it. dbt-ol reads its parent in the same way."""
    file = os.path.join(tempfile.mkdtemp(), "events")
    client = OpenLineageClient(config={"transport": {"type": "file", "log_file_path": file, "append": True}})
    parent = get_parent_run_metadata()
    facets = {"parent": parent.to_openlineage()} if parent else {}
    now = datetime.now(timezone.utc)
    run = Run(runId=str(generate_new_uuid(now)), facets=facets)
    job = Job(namespace="dbt", name="load")
    client.emit(RunEvent(eventType=RunState.START, eventTime=now.isoformat(), run=run, job=job, producer="https://example.com"))
    with open(file) as events:
        return json.loads(events.readline())


def expected():
    """The run ID of a task of Airflow, from what its author has passed: `build_task_instance_ol_run_id` of the provider."""
    date, data = os.environ["LOGICAL_DATE"], os.environ["HASHED"]
    return str(generate_static_uuid(datetime.fromisoformat(date), data.encode()))


print("span", json.dumps(span()))
print("event", json.dumps(event()))
if "LOGICAL_DATE" in os.environ:
    print("expected", expected())
