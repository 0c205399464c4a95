"""Tasks that pass small files to later tasks. They use annotations and volumes; images and commands do not change."""

from datetime import datetime, timedelta

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk import DAG
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


# A certificate and a text for two later tasks.
with pipeline("certificates"):
    issue = shell(
        "issue",
        "mkdir -p /tmp/out && printf 'certificate of the run' > /tmp/out/tls.crt && printf 'read me' > /tmp/out/notice.txt",
        annotations={
            "bootlace.dev/pipe-out": """
                - {key: Certificate, file: /tmp/out/tls.crt, kind: Secret}
                - {key: Notice, file: /tmp/out/notice.txt, kind: ConfigMap}
            """
        },
    )
    serve = shell(
        "serve",
        "cat /etc/tls/tls.crt",
        # Airflow renders {{ }} itself, so this uses the other syntax.
        volumes=[k8s.V1Volume(name="tls", secret=k8s.V1SecretVolumeSource(secret_name="pipe:Certificate"))],
        volume_mounts=[k8s.V1VolumeMount(name="tls", mount_path="/etc/tls")],
    )
    publish = shell(
        "publish",
        'echo "$NOTICE, $(cat /etc/notice/notice.txt)"',
        annotations={
            "bootlace.dev/pipe-in": """
                - {key: Notice, env: NOTICE}
                - {key: Notice, mountPath: /etc/notice}
            """
        },
    )
    issue >> [serve, publish]

# Each element passes its file to the element with the same index.
with pipeline("mapped_pipes"):
    write = KubernetesPodOperator.partial(
        task_id="write",
        image="localhost/busybox:test",
        cmds=["sh", "-c"],
        annotations={"bootlace.dev/pipe-out": "- {key: Part, file: /tmp/part, kind: ConfigMap}"},
    ).expand(arguments=[[f"printf 'part {part}' > /tmp/part"] for part in ("a", "b", "c")])
    read = KubernetesPodOperator.partial(
        task_id="read",
        image="localhost/busybox:test",
        cmds=["sh", "-c"],
        annotations={"bootlace.dev/pipe-in": "- {key: Part, env: PART}"},
    ).expand(arguments=[[f'echo "{part} reads $PART"'] for part in ("a", "b", "c")])
    write >> read

# The output differs in each run.
with pipeline("cleared_pipes"):
    names = shell(
        "names",
        "printf 'made by %s' \"$(hostname)\" > /tmp/pod",
        annotations={"bootlace.dev/pipe-out": "- {key: Pod, file: /tmp/pod, kind: ConfigMap}"},
    )
    result = shell(
        "result",
        'echo "$POD"',
        annotations={"bootlace.dev/pipe-in": "- {key: Pod, env: POD}"},
    )
    names >> result

# The first attempt fails. It stores an output too, if the profile stores outputs of failed tasks.
with pipeline("retried_pipes"):
    tries = shell(
        "tries",
        "if grep -q '\"attempt\":\"1\"' /bootlace/task.json; then printf first > /tmp/out; exit 3; fi; printf second > /tmp/out",
        annotations={"bootlace.dev/pipe-out": "- {key: Result, file: /tmp/out, kind: ConfigMap}"},
        retries=1,
        retry_delay=timedelta(seconds=1),
    )
    result = shell(
        "result",
        'echo "the result is $RESULT"',
        annotations={"bootlace.dev/pipe-in": "- {key: Result, env: RESULT}"},
    )
    tries >> result
