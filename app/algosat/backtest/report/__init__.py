"""The report of a back-test: figures, charts, HTML page and files."""
