#!/usr/bin/env bash
# feature records -> curves, by the model that exports/current names.
#   PROJECT=… REGION=europe-west4 BUCKET=… IMAGE=… deploy/dataflow/score.sh [further options]
set -euo pipefail
source "$(dirname "$0")/options.sh"
exec cineaffect score --records "gs://$BUCKET/features" --model "gs://$BUCKET/exports" \
  --output "gs://$BUCKET/curves" --job_name=cineaffect-score --machine_type=n2-standard-4 "${OPTIONS[@]}" "$@"
