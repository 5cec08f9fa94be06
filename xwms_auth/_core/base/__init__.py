"""What every other folder builds on: errors, models, keys, and the effects that a flow may yield."""
