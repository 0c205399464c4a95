#!/bin/sh
# Starts a task as plugin images of Optimus do, and knows nothing of Bootlace: whoever set the pod up has put the job's
# files below $JOB_DIR/in, and its env beside them in the dialect of Optimus' own client.
set -e
set -o allexport
source "$JOB_DIR/in/.env"
source "$JOB_DIR/in/.secret"
set +o allexport
mkdir -p "$JOB_DIR/out"
exec $(eval echo "$@")
