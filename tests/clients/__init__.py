"""Real clients against the built program: what each of them reads is what the tables hold."""
