"""`cineaffect rollback`: see `trainer.retrain.rollback`."""

from __future__ import annotations

import sys

from trainer.retrain import rollback as main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
