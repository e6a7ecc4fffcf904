"""The triggers that log the changes of a published table, and the SQL that selects logged rows."""
