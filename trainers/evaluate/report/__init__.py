"""The report: what a run found, missed and mistook, as one HTML file that needs nothing beside it."""
