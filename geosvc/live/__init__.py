"""What keeps up with the edits of others: the change log, who is told of them, and what may be answered from memory."""
