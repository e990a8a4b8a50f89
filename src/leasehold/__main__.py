"""`python -m leasehold` is `leasehold`."""

from leasehold.cli import main

main()
