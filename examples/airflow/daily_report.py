"""Extracts the sales of a day and reports on them, each step in its own pod."""

from datetime import datetime

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk import DAG
from kubernetes.client import models as k8s

pod = {
    "namespace": "etl",
    "image": "busybox:1.37",
    "security_context": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
    "container_security_context": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    "container_resources": k8s.V1ResourceRequirements(
        requests={"cpu": "10m", "memory": "16Mi"},
        limits={"cpu": "100m", "memory": "32Mi"},
    ),
}

with DAG("daily_report", schedule="@daily", start_date=datetime(2026, 1, 1), catchup=False):
    extract = KubernetesPodOperator(
        task_id="extract",
        cmds=["sh", "-c"],
        arguments=['echo "extracting sales from $WAREHOUSE"'],
        **pod,
    )
    report = KubernetesPodOperator(
        task_id="report",
        cmds=["sh", "-c"],
        arguments=['echo "reporting for {{ ds }}"; cat /var/assets/sql/report.sql'],
        **pod,
    )
    extract >> report
