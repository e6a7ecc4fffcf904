"""Work that would keep the event loop busy for more than a few milliseconds, done elsewhere
(docs/decisions/0036).

`offload` decides where: at once, in a thread, or in a child process. `turns` bounds how much is
done at once. `children` are the child processes, as the service sees them, and `child` is the
program that they run.
"""
