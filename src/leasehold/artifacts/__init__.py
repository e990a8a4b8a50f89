"""Artifacts: results of steps, kept under their recipes, so that nobody computes them twice.

The database keeps them: an artifact commits together with the end of the step that made it, so it is there whole or not
at all. Content is compressed with zstd. Nothing here knows what a recipe means or who may compute it (kernel claims).
"""
