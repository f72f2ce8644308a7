"""Fixtures of the report's tests."""

from tests.support.report_runs import report as report
