"""Compare components of one kind on the same inputs: suites, tasks, the runner, rankings, and the page of a result.

A suite (TOML) names a task and who competes; a task fixes the inputs and says what is measured on each; the runner
gives every competitor a process of its own and keeps one row for every competitor and input, also if it fails.
"""
