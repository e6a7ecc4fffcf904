"""The triggers that log the changes of a published table, and the selection of logged rows."""
