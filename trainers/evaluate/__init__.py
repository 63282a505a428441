"""Measuring the main job: clips, alerts, the demo and their report."""
