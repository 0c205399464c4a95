"""An ordinary DAG with one task, whose program prints its environment and a file."""

from datetime import datetime

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk import DAG

with DAG(
    "report",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    # Keep the pods, to inspect them after the run.
    default_args={"on_finish_action": "keep_pod"},
):
    KubernetesPodOperator(
        task_id="print",
        image="localhost/probe:test",
        cmds=["/probe"],
        arguments=["environ", "file=/var/assets/query.sql"],
    )
