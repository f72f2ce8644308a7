# Beam's options for Dataflow, for extract.sh, prepare.sh and score.sh; sourced by them.
: "${PROJECT:?the Google Cloud project}" "${REGION:?for example europe-west4}" "${BUCKET:?its name, without gs://}"
: "${IMAGE:?the worker image, see deploy/containers/worker.Dockerfile}"
OPTIONS=(
  --runner=DataflowRunner
  --project="$PROJECT"
  --region="$REGION"
  --temp_location="gs://$BUCKET/tmp"
  --staging_location="gs://$BUCKET/staging"
  --sdk_container_image="$IMAGE"
  --sdk_location=container
  --experiments=use_runner_v2
  --max_num_workers="${MAX_WORKERS:-50}"
  # One film a process: without this Dataflow runs 12 threads in each of a worker's processes, with a film each.
  --number_of_worker_harness_threads="${FILMS_A_PROCESS:-1}"
)
