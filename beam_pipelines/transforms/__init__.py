"""The PTransforms and DoFns of the jobs: plumbing, no arithmetic."""
