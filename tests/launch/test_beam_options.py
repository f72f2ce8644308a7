"""Beam's options of a job: their views are made once, and share their values in every copy."""

from __future__ import annotations

import copy
import pickle

from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions

from beam_pipelines.launch import job


def test_views_are_made_once_and_share_their_values() -> None:
    options = job.beam_options([], workers=3)
    direct = options.view_as(DirectOptions)
    assert options.view_as(DirectOptions) is direct
    assert isinstance(options.view_as(StandardOptions), StandardOptions)
    direct.direct_num_workers = 5
    assert options.view_as(PipelineOptions).get_all_options()["direct_num_workers"] == 5
    for copied in (copy.deepcopy(options), pickle.loads(pickle.dumps(options))):  # noqa: S301 - our own
        view = copied.view_as(DirectOptions)
        assert view.direct_num_workers == 5
        view.direct_num_workers = 7
        assert copied.view_as(DirectOptions).direct_num_workers == 7
        assert copied.get_all_options()["direct_num_workers"] == 7
    assert direct.direct_num_workers == 5
