"""Where a run is copied to for others to read. The run itself, Parquet, is always there; a sink is made from it."""
