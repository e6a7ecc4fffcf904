"""Transactions that write features."""
