"""`python -m xwms_auth.cli`, for when the command is not on the path."""

from xwms_auth.cli import main

main()
