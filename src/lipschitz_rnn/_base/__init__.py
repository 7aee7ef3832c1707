"""Checks, types and errors that every layer may use; imports nothing else from the package."""
