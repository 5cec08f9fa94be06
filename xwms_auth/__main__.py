"""`python -m xwms_auth`: the command `xwms-auth`, where its script is not on the path.

Knows: nothing.
Must not: do anything by itself.
"""

from .cli import main

main()
