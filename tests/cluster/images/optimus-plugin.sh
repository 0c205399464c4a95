#!/bin/sh
# Starts a task like the plugin images of Optimus, which do not depend on Bootlace: the files of the job are in $JOB_DIR/in, and
# its env is in two of these files, in the format of the Optimus client.
set -e
set -o allexport
source "$JOB_DIR/in/.env"
source "$JOB_DIR/in/.secret"
set +o allexport
mkdir -p "$JOB_DIR/out"
exec $(eval echo "$@")
