"""The catalogue's touchpoint columns by our planner, and by hand in three other ways."""
