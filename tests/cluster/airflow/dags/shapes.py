"""One DAG for each shape of task that Airflow's operator makes pods for in a way of its own."""

from datetime import datetime

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk import DAG, task


def pipeline(name):
    return DAG(
        name,
        schedule=None,
        start_date=datetime(2026, 1, 1),
        default_args={"on_finish_action": "keep_pod"},
    )


def shell(task_id, script, **settings):
    return KubernetesPodOperator(
        task_id=task_id,
        image="localhost/busybox:test",
        cmds=["sh", "-c"],
        arguments=[script],
        **settings,
    )


# A sidecar waits in the pod for Airflow to fetch what the task wrote.
with pipeline("xcom"):
    answer = shell(
        "answer",
        'mkdir -p /airflow/xcom; echo "{\\"greeting\\": \\"$GREETING\\"}" > /airflow/xcom/return.json',
        do_xcom_push=True,
    )

    @task
    def show(value):
        print(f"the task returned {value}")

    show(answer.output)

with pipeline("failing"):
    shell("fails", 'echo "failing for $GREETING"; exit 3')

# One task of the DAG becomes three pods, told apart by the label map_index.
with pipeline("mapped"):
    KubernetesPodOperator.partial(
        task_id="each",
        image="localhost/busybox:test",
        cmds=["sh", "-c"],
    ).expand(arguments=[[f'echo "part {part} for $GREETING"'] for part in ("a", "b", "c")])
