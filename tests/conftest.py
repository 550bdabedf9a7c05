"""What every test may use. Hypothesis finds the same examples on every run."""

from hypothesis import settings

# `--hypothesis-profile=search` looks further than a run of the whole suite may.
settings.register_profile("suite", deadline=None, max_examples=60, derandomize=True, database=None)
settings.register_profile("search", deadline=None, max_examples=3_000, database=None)
settings.load_profile("suite")
