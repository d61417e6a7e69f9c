"""From a configuration to a model, and the folder that holds a run."""
