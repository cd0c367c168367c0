"""What select_speed.py measures with, what it measures, and how it tells."""
