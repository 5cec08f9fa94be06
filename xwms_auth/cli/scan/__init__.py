"""The command `scan`: looks for the client secret where browsers, images and clones would get it."""
