"""Engines other than DuckDB: how each is opened, filled, and kept to the meaning of our definitions."""
