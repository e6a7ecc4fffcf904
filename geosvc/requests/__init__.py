"""From what a client sent to frozen dataclasses; everything wrong with it is found here, before the database is asked."""
