"""What every other folder stands on: errors, models, keys, and what a flow may ask of the world."""
