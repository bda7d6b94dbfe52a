"""The commands, and the page that they write."""
