"""DAGs whose tasks run in the worker pods of the Kubernetes executor. Bootlace is mentioned only where a task declares an
output or an input."""

import os
import pathlib
from datetime import datetime, timedelta

from airflow.sdk import DAG, get_current_context, task
from kubernetes.client import models as k8s


def show():
    """Prints what a task has got. The scenario compares it."""
    print(f"greeting {os.environ.get('GREETING', '')}")
    for file in [pathlib.Path("/var/assets/query.sql"), pathlib.Path("/bootlace/task.json")]:
        if file.exists():
            print(f"{file.stem} {file.read_text().strip()}")


def pipeline(name):
    """A DAG with one scheduled run."""
    day = datetime(2026, 1, 1)
    return DAG(name, schedule="@daily", start_date=day, end_date=day, catchup=True)


def annotated(**annotations):
    """The configuration of a worker pod with annotations of Bootlace: pipe_out is bootlace.dev/pipe-out."""
    names = {f"bootlace.dev/{name.replace('_', '-')}": value for name, value in annotations.items()}
    return {"pod_override": k8s.V1Pod(metadata=k8s.V1ObjectMeta(annotations=names))}


# The first attempt of `extract` fails, and `load` is mapped.
with pipeline("reports"):

    @task(retries=1, retry_delay=timedelta(seconds=1))
    def extract():
        show()
        if get_current_context()["ti"].try_number == 1:
            raise RuntimeError("the first attempt fails")
        return ["east", "west"]

    @task
    def load(part):
        show()

    load.expand(part=extract())

with pipeline("failing"):

    @task
    def fails():
        show()
        raise RuntimeError("this task always fails")

    fails()

# The scenario makes the boot of this task fail.
with pipeline("unbooted"):

    @task
    def never_runs():
        show()

    never_runs()

# A task takes the output of the task before it.
with pipeline("handover"):

    @task(executor_config=annotated(pipe_out="[{key: Rows, file: /tmp/rows, kind: ConfigMap}]"))
    def write():
        show()
        pathlib.Path("/tmp/rows").write_text("rows of a worker")

    @task(executor_config=annotated(pipe_in="[{key: Rows, mountPath: /in}]"))
    def read():
        show()
        rows = pathlib.Path("/in/rows")
        print(f"rows {rows.read_text() if rows.exists() else 'none'}")

    write() >> read()
