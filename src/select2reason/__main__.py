"""`python -m select2reason` is the command line."""

from select2reason.cli import main

main()
