"""`python -m quorate` is `quorate`."""

from quorate.cli.main import main

main()
