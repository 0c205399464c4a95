"""Deploys the flows in flows.py, runs one of them, and prints the state of its run.

A deployment runs on the work pool, as a pod. `nightly` runs in this process, and runs deployments."""

import os
import pathlib
import sys

import flows
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.deployments import run_deployment
from prefect_kubernetes.worker import KubernetesWorker

NAME = sys.argv[1]
APP = str(pathlib.Path(__file__).parent)
# Less than the time that the scenario waits for this program.
LIMIT = 540

# The template of the work pool, with the image and the code of the flows.
template = KubernetesWorker.get_default_base_job_template()
pod = template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
pod["volumes"] = [{"name": "app", "configMap": {"name": "prefect-app"}}]
pod["containers"][0]["volumeMounts"] = [{"name": "app", "mountPath": APP}]
defaults = {"namespace": os.environ["NAMESPACE"], "image": "localhost/prefect:test", "image_pull_policy": "Never"}
for name, value in defaults.items():
    template["variables"]["properties"][name]["default"] = value
# Not with the command line of Prefect, which needs seconds to start.
with get_client(sync_client=True) as client:
    client.create_work_pool(WorkPoolCreate(name="kubernetes", type="kubernetes", base_job_template=template))

deployed = [flows.write, flows.read] if NAME == "nightly" else [getattr(flows, NAME)]
for flow in deployed:
    name = flow.fn.__name__
    remote = flow.from_source(source=APP, entrypoint=f"flows.py:{name}")
    remote.deploy(name=name, work_pool_name="kubernetes", build=False, push=False, print_next_steps=False)

if NAME == "nightly":
    state = flows.nightly(return_state=True)
else:
    run = run_deployment(f"{deployed[0].name}/{NAME}", timeout=LIMIT, poll_interval=0.5, as_subflow=False)
    state = run.state
    if not state.is_final():
        sys.exit(f"the run has not ended after {LIMIT} s: it is {state.name}")
print(f"state {state.name}", flush=True)
