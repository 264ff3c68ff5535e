"""The report as one HTML file: its template and style, its charts and their colours."""
