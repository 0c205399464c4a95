"""An ordinary pipeline: two tasks, each in its own pod."""

from datetime import datetime

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk import DAG

with DAG(
    "etl",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    # Keep the pods, to inspect them after the run.
    default_args={"on_finish_action": "keep_pod"},
):
    extract = KubernetesPodOperator(
        task_id="extract",
        image="localhost/busybox:test",
        cmds=["sh", "-c"],
        arguments=['echo "extracting for $GREETING"; cat /var/assets/query.sql'],
    )
    load = KubernetesPodOperator(
        task_id="load",
        image="localhost/busybox:test",
        cmds=["sh", "-c"],
        arguments=['echo "loading for $GREETING"; wc -l /var/assets/query.sql'],
    )
    extract >> load
