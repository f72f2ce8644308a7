"""Models that come with the package: a formula each, and its export by contract 2, which `builtin:NAME` names."""
