"""One DAG for each kind of task for which Airflow's operator creates a different pod."""

from datetime import datetime

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk import DAG, task
from kubernetes.client import models as k8s


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


# The pod has a sidecar, which runs until Airflow has fetched the file that the task wrote.
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

# The kubelet cannot mount the Secret, and the operator would wait for two minutes.
with pipeline("never_starts"):
    secret = k8s.V1SecretVolumeSource(secret_name="nowhere")
    shell(
        "waits",
        "true",
        volumes=[k8s.V1Volume(name="login", secret=secret)],
        volume_mounts=[k8s.V1VolumeMount(name="login", mount_path="/login")],
    )

# One task of the DAG becomes three pods, which differ in the label map_index.
with pipeline("mapped"):
    KubernetesPodOperator.partial(
        task_id="each",
        image="localhost/busybox:test",
        cmds=["sh", "-c"],
    ).expand(arguments=[[f'echo "part {part} for $GREETING"'] for part in ("a", "b", "c")])
