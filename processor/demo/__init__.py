"""The demo: everything on one machine, and what happens in it for a person to watch."""
