"""Flows of a team that uses Prefect. Bootlace is mentioned only where a flow declares outputs and inputs."""

import os
import pathlib

from prefect import flow, runtime, task
from prefect.deployments import run_deployment


@task(retries=1)
def check():
    if runtime.task_run.run_count == 1:
        raise RuntimeError("the first attempt fails")


@flow(name="daily report", log_prints=False)
def daily():
    print(f"greeting: {os.environ.get('GREETING', '')}")
    for file in ["/var/assets/query.sql", "/bootlace/task.json"]:
        if os.path.exists(file):
            print(f"{file}: {pathlib.Path(file).read_text().strip()}", flush=True)
    check()


@flow(name="failing")
def failing():
    raise RuntimeError("this flow always fails")


@flow(name="write")
def write():
    pathlib.Path("/tmp/report.txt").write_text("written by a flow")


@flow(name="read")
def read():
    report = pathlib.Path("/in/report.txt")
    print(f"report: {report.read_text() if report.exists() else 'none'}", flush=True)


def annotations(run, **others):
    """Job variables with annotations of Bootlace: pipe_out is bootlace.dev/pipe-out."""
    names = {f"bootlace.dev/{name.replace('_', '-')}": value for name, value in others.items()}
    return {"annotations": {"bootlace.dev/run": run, **names}}


@flow(name="nightly")
def nightly():
    """Runs two deployments. Each has its own flow run, so the annotation names the run that they have in common."""
    run = str(runtime.flow_run.id)
    output = "[{key: Report, file: /tmp/report.txt, kind: ConfigMap}]"
    for name, variables in [
        ("write/write", annotations(run, pipe_out=output)),
        ("read/read", annotations(run, pipe_in="[{key: Report, mountPath: /in}]")),
    ]:
        done = run_deployment(name, job_variables=variables, poll_interval=0.5)
        if not done.state.is_completed():
            raise RuntimeError(f"{name} is {done.state.name}")
