"""Writes the run IDs that OpenLineage's client and Airflow's OpenLineage provider compute, for `core/src/telemetry`.

usage: python core/tests/openlineage/make.py   (a Python that has tests/cluster/airflow/requirements.txt, and
apache-airflow-providers-openlineage 2.20.3, openlineage-python 1.54.0, openlineage-integration-common 1.54.0)
"""

import datetime
import json
import os
import pathlib
import random
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
NAMESPACE = "prod"
os.environ["AIRFLOW__OPENLINEAGE__NAMESPACE"] = NAMESPACE
os.environ["AIRFLOW__OPENLINEAGE__TRANSPORT"] = '{"type": "console"}'

from airflow.providers.cncf.kubernetes import pod_generator as generator
from airflow.providers.cncf.kubernetes.operators import pod as operators
from airflow.providers.openlineage.plugins import macros
from airflow.utils.types import DagRunType
from openlineage.client.uuid import generate_static_uuid

HERE = pathlib.Path(__file__).parent
TEMPLATES = pathlib.Path(generator.__file__).parent / "pod_template_file_examples"
UTC = datetime.timezone.utc


def uuids():
    """Times of every size of fraction: their milliseconds are the result of a multiplication of floats, which is sometimes a
    millisecond before the exact one."""
    chosen = random.Random(1)
    before = datetime.datetime(2039, 6, 16, 20, 28, 49, 384000, UTC)
    assert int(before.timestamp() * 1000) % 1000 == 383
    yield {"instant": before.isoformat(), "data": "x", "uuid": str(generate_static_uuid(before, b"x"))}
    for index in range(300):
        instant = datetime.datetime.fromtimestamp(chosen.randrange(2**32), UTC)
        instant = instant.replace(microsecond=[0, chosen.randrange(10**6), chosen.randrange(10**3) * 1000][index % 3])
        data = f"{NAMESPACE}.dag-{index}.täsk.{index % 4}.-1"
        uuid = str(generate_static_uuid(instant, data.encode()))
        yield {"instant": instant.isoformat(), "data": data, "uuid": uuid}


def metadata(version, run_id, executor, dag_id, task_id, try_number, map_index, **_):
    """The labels and annotations of the pod of a task, as the operator or the executor of this version creates it."""
    operators.airflow_version = generator.airflow_version = version
    if executor:
        pod = generator.PodGenerator.construct_pod(
            dag_id=dag_id,
            task_id=task_id,
            pod_id="load",
            try_number=try_number,
            kube_image="example.com/airflow:3",
            date=None,
            args=["airflow"],
            pod_override_object=None,
            base_worker_pod=generator.PodGenerator.deserialize_model_file(str(TEMPLATES / "dags_in_image_template.yaml")),
            namespace="etl",
            scheduler_job_id="7",
            run_id=run_id,
            map_index=map_index,
        )
    else:
        task = operators.KubernetesPodOperator(task_id="load", name="load", namespace="etl", image="example.com/etl:1")
        ti = types.SimpleNamespace(dag_id=dag_id, task_id=task_id, map_index=map_index, try_number=try_number)
        dag = types.SimpleNamespace(parent_dag=None)
        pod = task.build_pod_request_obj({"ti": ti, "run_id": run_id, "dag": dag})
    return {"labels": pod.metadata.labels, "annotations": pod.metadata.annotations or {}}


def run(version, run_id, date, clear_number=0, executor=False, **task):
    """A task, with the IDs that the provider's macros return for it."""
    task = {"dag_id": "etl", "task_id": "load", "try_number": 1, "map_index": -1} | task
    dag_run = types.SimpleNamespace(logical_date=date, run_after=date, clear_number=clear_number, conf={})
    ti = types.SimpleNamespace(dag_run=dag_run, get_template_context=lambda: {}, **task)
    return {
        "metadata": metadata(version, run_id, executor, **task),
        "logicalDate": date.isoformat(),
        "clearNumber": clear_number,
        "parent": macros.lineage_parent_id(ti),
        "root": macros.lineage_root_parent_id(ti),
    }


def runs():
    day = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    fraction = day.replace(microsecond=600123)
    for version, kinds in [
        # What generate_run_id of Airflow 2 returns for the logical date, and of Airflow 3 for run_after.
        ("2.10.5", ["scheduled", "backfill", "dataset_triggered", "manual"]),
        ("3.3.2", ["scheduled", "manual"]),
    ]:
        for kind in kinds:
            for executor in [False, True]:
                for date in [day, fraction]:
                    yield run(version, f"{kind}__{date.isoformat()}", date, executor=executor)
    for executor in [False, True]:
        for date in [day, fraction]:
            run_id = DagRunType.ASSET_TRIGGERED.generate_run_id(suffix=f"{date.isoformat()}_AbCdEf12")
            yield run("3.3.2", run_id, date, executor=executor)
        run_id = f"scheduled__{day.isoformat()}"
        yield run("2.10.5", run_id, day, 2, executor, task_id="group.load", try_number=3, map_index=7)
        yield run("2.10.5", run_id, day, 1, executor, dag_id="daily report")
        yield run("2.10.5", run_id, day, 1, executor, dag_id="d" * 70)


def lines(samples):
    return ",\n".join(json.dumps(sample, ensure_ascii=False, sort_keys=True) for sample in samples)


text = f'{{"namespace": "{NAMESPACE}", "runs": [\n{lines(runs())}\n], "uuids": [\n{lines(uuids())}\n]}}\n'
(HERE / "samples.json").write_text(text)
