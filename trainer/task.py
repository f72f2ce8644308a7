"""`python -m trainer.task`: the command `train` by the name that training services call a trainer's entry point."""

import sys

from trainer.commands.train import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
