"""Parts of `python -m jobs.report`: `facts` are gathered from the tables, `page` and `markdown` show them."""
