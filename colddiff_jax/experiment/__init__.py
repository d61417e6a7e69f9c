"""Models and data that a configuration describes, and the folder of a run."""
