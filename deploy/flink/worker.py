"""One of Beam's Python workers as a process: a TaskManager starts it with `environment_type=PROCESS`.

It asks the TaskManager for addresses and options, as the program `boot` of Beam's containers does, and starts to work.
"""

from __future__ import annotations

import argparse
import os
import sys

import grpc
from apache_beam.portability.api import (
    beam_provision_api_pb2 as provision_api,
    beam_provision_api_pb2_grpc as provision_grpc,
)
from apache_beam.runners.worker import sdk_worker_main
from google.protobuf import json_format, text_format


def main() -> None:
    """Works until the TaskManager has no more work for it, or is gone."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--id", required=True)
    parser.add_argument("--provision_endpoint", required=True)
    arguments, _ = parser.parse_known_args()
    with grpc.insecure_channel(arguments.provision_endpoint) as channel:
        told = provision_grpc.ProvisionServiceStub(channel).GetProvisionInfo(
            provision_api.GetProvisionInfoRequest(), metadata=(("worker_id", arguments.id),)
        )
    os.environ["WORKER_ID"] = arguments.id
    os.environ["PIPELINE_OPTIONS"] = json_format.MessageToJson(told.info.pipeline_options)
    os.environ["CONTROL_API_SERVICE_DESCRIPTOR"] = text_format.MessageToString(told.info.control_endpoint)
    os.environ["LOGGING_API_SERVICE_DESCRIPTOR"] = text_format.MessageToString(told.info.logging_endpoint)
    sdk_worker_main.main(sys.argv[:1])


if __name__ == "__main__":
    main()
