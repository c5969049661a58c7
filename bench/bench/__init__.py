"""The benchmark of the proxy beside what else could serve the same tables. README.md says how it measures."""
