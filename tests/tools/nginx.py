"""An nginx of a test's own: the beginning of its file, by which it is in the foreground and writes to one folder."""

BEGINNING = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
    uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
"""
"""Up to what is within the block `http`, for `str.format`."""
