"""Writes the pods that Airflow's own code makes: the operator's, and the Kubernetes executor's.

usage: python tests/pods/make_airflow.py   (a Python that has tests/cluster/airflow/requirements.txt; the harness
keeps one in $BOOTLACE_CACHE/airflow/*/venv)
"""

import datetime
import json
import os
import pathlib
import tempfile
import types
import warnings

warnings.simplefilter("ignore")

# Airflow keeps files there, and the operator asks for a cluster's address before it makes a pod; nothing is called.
SCRATCH = tempfile.TemporaryDirectory()
os.environ["AIRFLOW_HOME"] = SCRATCH.name
os.environ["KUBECONFIG"] = os.path.join(SCRATCH.name, "kubeconfig")
pathlib.Path(os.environ["KUBECONFIG"]).write_text(
    "{apiVersion: v1, kind: Config, current-context: c, users: [{name: u, user: {token: t}}], "
    "clusters: [{name: k, cluster: {server: 'https://cluster.invalid'}}], "
    "contexts: [{name: c, context: {cluster: k, user: u}}]}"
)

from airflow.providers.cncf.kubernetes import pod_generator as generator
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from kubernetes.client import ApiClient, V1Pod

HERE = pathlib.Path(__file__).parent
TEMPLATES = pathlib.Path(generator.__file__).parent / "pod_template_file_examples"
SCHEDULED = "scheduled__2026-01-02T03:04:05.600000+00:00"
MANUAL = "manual__2026-01-02T03:04:05+00:00"


def write(name, pod: V1Pod):
    pod = ApiClient().sanitize_for_serialization(pod)
    (HERE / name).write_text(json.dumps(pod, indent=1, sort_keys=True) + "\n")


def operator(name, run_id, map_index=-1, **settings):
    task = KubernetesPodOperator(
        task_id="load",
        name="load",
        random_name_suffix=False,
        namespace="etl",
        image="example.com/etl:1",
        cmds=["python3"],
        arguments=["load.py"],
        **settings,
    )
    ti = types.SimpleNamespace(dag_id="daily report", task_id="load", map_index=map_index, try_number=2)
    dag = types.SimpleNamespace(parent_dag=None)
    write(name, task.build_pod_request_obj({"ti": ti, "run_id": run_id, "dag": dag}))


def executor(name, run_id, map_index=-1, date=None):
    pod = generator.PodGenerator.construct_pod(
        dag_id="daily report",
        task_id="load",
        pod_id="daily-report-load",
        try_number=2,
        kube_image="example.com/airflow:3",
        date=date,
        args=["python", "-m", "airflow.sdk.execution_time.execute_workload"],
        pod_override_object=None,
        base_worker_pod=generator.PodGenerator.deserialize_model_file(
            str(TEMPLATES / "dags_in_image_template.yaml")
        ),
        namespace="etl",
        scheduler_job_id="7",
        run_id=run_id,
        map_index=map_index,
    )
    write(name, pod)


operator("airflow-operator-scheduled.json", SCHEDULED)
operator("airflow-operator-manual.json", MANUAL)
operator("airflow-operator-mapped-xcom.json", SCHEDULED, map_index=3, do_xcom_push=True)
executor("airflow-executor-scheduled.json", SCHEDULED)
executor("airflow-executor-manual-mapped.json", MANUAL, map_index=3)
executor(
    "airflow-executor-logical-date.json",
    MANUAL,
    date=datetime.datetime(2026, 1, 1, 23, tzinfo=datetime.timezone.utc),
)
