"""Measurements of the product; each script checks the result of what it measures."""
