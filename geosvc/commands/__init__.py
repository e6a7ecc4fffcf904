"""The subcommands of `geosvc`: what they do and print."""
