"""Whether a run kept every promise: pure functions over its evidence.

Law: a checker looks at evidence alone, changes nothing, and raises on none. Each violation is
one sentence that names who, which key, which revisions and when, in seconds of the run.
"""
