"""Runs work that would block the event loop for more than a few milliseconds (docs/decisions/0036).

`offload` decides where work runs: on the loop, in a thread, or in a child process.
`fair_semaphore` limits how much runs at the same time. `children` starts the child processes and
sends them tasks; `child` is the program that they run.
"""
