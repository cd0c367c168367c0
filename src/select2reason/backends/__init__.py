"""The edge: language models that run here or behind an endpoint. Heavy packages are imported in these files alone."""
