# A Dataflow Flex Template of the three jobs: a worker image that can also start them. Build the worker image first.
#   docker build -f deploy/containers/template.Dockerfile --build-arg IMAGE=IMAGE -t TEMPLATE_IMAGE .
ARG IMAGE
FROM gcr.io/dataflow-templates-base/python311-template-launcher-base:20230622_RC00 AS launcher

FROM ${IMAGE}
COPY --from=launcher /opt/google/dataflow/python_template_launcher /opt/google/dataflow/python_template_launcher
COPY deploy/dataflow/flex/main.py /template/main.py
# The package is installed in the image, so neither a requirements nor a setup file is named beside it.
ENV FLEX_TEMPLATE_PYTHON_PY_FILE=/template/main.py
# Dataflow calls the launcher by its path; the entry point stays that of a worker.
ENTRYPOINT ["/opt/apache/beam/boot"]
