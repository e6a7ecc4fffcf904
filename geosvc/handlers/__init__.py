"""One module a resource. A handler reads: parse, plan, run, encode, send; it holds no SQL and catches no Exception."""
