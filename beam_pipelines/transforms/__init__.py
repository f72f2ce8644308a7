"""The PTransforms and DoFns of the jobs: data flow only, no arithmetic."""
