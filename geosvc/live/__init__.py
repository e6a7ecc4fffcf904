"""Live changes: the reader of the change log, and the subscribers that get its events."""
