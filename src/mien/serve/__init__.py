"""Reports over HTTP, and a web page. Install it with `pip install 'mien[serve]'`."""
