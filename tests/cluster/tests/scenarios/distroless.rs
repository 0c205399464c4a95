//! An image with a single static program: no shell, no libc, no `/etc`, no `PATH`.

use anyhow::Result;
use bootlace_cluster::images::PROBE;
use bootlace_cluster::scenario::scenario;
use serde_json::json;

#[tokio::test]
async fn a_task_without_a_shell_gets_env_and_files() -> Result<()> {
    scenario("distroless")
        .run(async |namespace| {
            let pod = json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": "task", "labels": {"bootlace.dev/task": "true"}},
                "spec": {"restartPolicy": "Never", "containers": [{
                    "name": "main", "image": PROBE, "command": ["/probe", "argv", "environ", "status"],
                    "args": ["file=/var/assets/query.sql", "file=/bootlace/assets/query.sql"],
                }]},
            });
            namespace.create(&pod.to_string()).await?;
            namespace.pod_succeeded("task").await?;
            let process = namespace.process("task", "main").await?;
            assert_eq!(process.env("GREETING"), Some(&b"the analytics team"[..]));
            assert_eq!(process.status("Pid")?, "1");
            assert_eq!(process.argv.first().map(Vec::as_slice), Some(&b"/probe"[..]));
            let query = b"select day, sum(amount) from sales group by day;\n";
            assert_eq!(process.file("/var/assets/query.sql")?, query);
            assert_eq!(process.file("/bootlace/assets/query.sql")?, query);
            Ok(())
        })
        .await
}
