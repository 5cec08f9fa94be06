"""Everything private. One folder for each noun of the field; docs/architecture.md has the map."""
