//! Airflow, which makes pods in two ways: its operator runs one task's own image, and its Kubernetes executor
//! runs Airflow's image for every task.
//!
//! Read from apache-airflow-providers-cncf-kubernetes 10.25; `tests/pods` holds pods that its code made. Both
//! label their pods with `dag_id`, `run_id`, `task_id`, `try_number` and, for mapped tasks only, `map_index`.

mod executor;
mod operator;
mod run_id;

pub(super) use executor::KubernetesExecutor;
pub(super) use operator::KubernetesPodOperator;
