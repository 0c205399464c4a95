"""Uses the API of Airflow as a user does. `run.py URL DAG…` unpauses DAGs, waits until the scheduled run of each has ended,
and prints their states with the states and attempts of their tasks. `run.py URL` succeeds if Airflow is ready to run DAGs.
`run.py URL --fail DAG TASK` sets a task of the run to failed."""

import json
import sys
import time
import urllib.request

COMPONENTS = ["metadatabase", "scheduler", "dag_processor", "triggerer"]
URL, *ARGUMENTS = sys.argv[1:]


def call(path, body=None, method=None, token=None):
    request = urllib.request.Request(URL + path, method=method, headers={"Content-Type": "application/json"})
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    data = json.dumps(body).encode() if body is not None else None
    with urllib.request.urlopen(request, data) as response:
        return json.load(response)


# All users are administrators, so the token needs no password.
token = call("/auth/token")["access_token"]


def api(path, body=None, method=None):
    return call(f"/api/v2/{path}", body, method, token)


def check_ready():
    health = api("monitor/health")
    states = {name: health[name]["status"] for name in COMPONENTS}
    if set(states.values()) != {"healthy"}:
        sys.exit(f"not all components are healthy: {states}")
    if api("dags")["total_entries"] == 0:
        sys.exit("no DAG has been parsed")


def describe(task):
    index = f"[{task['map_index']}]" if task["map_index"] >= 0 else ""
    return f"{task['task_id']}{index} {task['state']} {task['try_number']}"


def ended(dag):
    """Waits until the run has ended, and describes it."""
    while True:
        runs = api(f"dags/{dag}/dagRuns")["dag_runs"]
        if runs and runs[0]["state"] in ("success", "failed"):
            run = runs[0]["dag_run_id"]
            tasks = api(f"dags/{dag}/dagRuns/{run}/taskInstances")["task_instances"]
            return f"{dag} {runs[0]['state']}: {', '.join(sorted(map(describe, tasks)))}"
        time.sleep(0.2)


def fail(dag, task):
    run = api(f"dags/{dag}/dagRuns")["dag_runs"][0]["dag_run_id"]
    api(f"dags/{dag}/dagRuns/{run}/taskInstances/{task}", {"new_state": "failed"}, "PATCH")


match ARGUMENTS:
    case []:
        check_ready()
    case ["--fail", dag, task]:
        fail(dag, task)
    case dags:
        for dag in dags:
            api(f"dags/{dag}", {"is_paused": False}, "PATCH")
        print("; ".join(map(ended, dags)))
