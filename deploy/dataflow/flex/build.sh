#!/usr/bin/env bash
# The template image -> one template a job in the bucket.
#   BUCKET=… IMAGE=(of template.Dockerfile) deploy/dataflow/flex/build.sh
set -euo pipefail
: "${BUCKET:?its name, without gs://}" "${IMAGE:?the template image, see deploy/containers/template.Dockerfile}"
for job in extract prepare score; do
  gcloud dataflow flex-template build "gs://$BUCKET/templates/$job.json" \
    --image="$IMAGE" --sdk-language=PYTHON --metadata-file="$(dirname "$0")/$job.json"
done
