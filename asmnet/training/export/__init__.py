"""From a run to a file that users load, its calibration, and its way to a hub."""
