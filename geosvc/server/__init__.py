"""One service process: its listeners, its connections, its stop; and the supervisor of several."""
