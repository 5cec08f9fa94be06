"""`python -m xwms_auth.cli`, for where the command is not on the path."""

from . import main

main()
