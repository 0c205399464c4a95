//! Airflow, which creates pods in two ways: its operator runs the image of a task, and its Kubernetes
//! executor runs the Airflow image for every task.
//!
//! Based on apache-airflow-providers-cncf-kubernetes 10.25; `tests/pods` contains pods that its code created.
//! Both set the labels `dag_id`, `run_id`, `task_id`, `try_number` and, for mapped tasks only, `map_index`.

mod executor;
mod operator;
mod run_id;

pub(super) use executor::KubernetesExecutor;
pub(super) use operator::KubernetesPodOperator;
