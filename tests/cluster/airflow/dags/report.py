"""A report as anyone would write it, of one task: its program prints what its process holds."""

from datetime import datetime

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk import DAG

with DAG(
    "report",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    # The pods stay, so that one can look at them when the run is over.
    default_args={"on_finish_action": "keep_pod"},
):
    KubernetesPodOperator(
        task_id="print",
        image="localhost/probe:test",
        cmds=["/probe"],
        arguments=["environ", "file=/var/assets/query.sql"],
    )
