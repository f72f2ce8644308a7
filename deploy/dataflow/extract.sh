#!/usr/bin/env bash
# films of a bucket -> feature records in it. On GPUs: GPU=1 IMAGE=(of worker-gpu.Dockerfile) deploy/dataflow/extract.sh
#   PROJECT=… REGION=europe-west4 BUCKET=… IMAGE=… deploy/dataflow/extract.sh [further options]
set -euo pipefail
# On a GPU machine one process with a thread per processor: one copy of the networks, whose batches films share.
FILMS_A_PROCESS=${GPU:+16}
source "$(dirname "$0")/options.sh"
if [[ -n "${GPU:-}" ]]; then
  # A small GPU beside many processors: decoding and face detection are the limit (deploy/README.md).
  OPTIONS+=(
    --machine_type=n1-standard-16
    --experiments=no_use_multiple_sdk_containers
    "--dataflow_service_options=worker_accelerator=type:nvidia-tesla-t4;count:1;install-nvidia-driver"
  )
else
  # One process a processor, 1.13 GB each and its decoding process: `highcpu` machines have too little memory.
  OPTIONS+=(--machine_type=n2-standard-8)
fi
exec cineaffect extract --films "gs://$BUCKET/films.csv" --output "gs://$BUCKET/features" \
  --job_name=cineaffect-extract --disk_size_gb=200 "${OPTIONS[@]}" "$@"
