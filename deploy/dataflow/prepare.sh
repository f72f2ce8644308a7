#!/usr/bin/env bash
# feature records of the training films -> statistics and transform graph.
#   PROJECT=… REGION=europe-west4 BUCKET=… IMAGE=… deploy/dataflow/prepare.sh [further options]
set -euo pipefail
source "$(dirname "$0")/options.sh"
exec cineaffect prepare --records "gs://$BUCKET/features" --manifest "gs://$BUCKET/films.csv" \
  --output "gs://$BUCKET/transform" --job_name=cineaffect-prepare --machine_type=n2-standard-4 "${OPTIONS[@]}" "$@"
