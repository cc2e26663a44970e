"""Passwords, tokens, accounts, and who is calling."""
