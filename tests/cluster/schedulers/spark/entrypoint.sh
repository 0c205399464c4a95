#!/bin/bash
# The entrypoint of the image: Spark sets args but no command. The first of them is the role of the pod.
set -eu
role=$1
shift
case $role in
driver)
  exec "$SPARK_HOME/bin/spark-submit" --deploy-mode client --conf "spark.driver.bindAddress=$SPARK_DRIVER_BIND_ADDRESS" "$@"
  ;;
executor)
  options=()
  for name in "${!SPARK_JAVA_OPT_@}"; do options+=("${!name}"); done
  exec java "${options[@]}" "-Xmx$SPARK_EXECUTOR_MEMORY" -cp "$SPARK_HOME/jars/*" \
    org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend --driver-url "$SPARK_DRIVER_URL" \
    --app-id "$SPARK_APPLICATION_ID" --executor-id "$SPARK_EXECUTOR_ID" --cores "$SPARK_EXECUTOR_CORES" \
    --resourceProfileId "$SPARK_RESOURCE_PROFILE_ID" --hostname "$SPARK_EXECUTOR_POD_IP" --podName "$SPARK_EXECUTOR_POD_NAME"
  ;;
*)
  exec "$role" "$@"
  ;;
esac
