"""`make soak`: a service under many kinds of strangers at once, for minutes, beside people who want
nothing bad.
"""
