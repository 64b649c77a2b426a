"""Content-Security-Policy of the pages."""

# The page of the server asks nobody but this server for anything, and stands in nobody's frame. Its pictures are those
# that its user gave it.
PAGE = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-src 'self'; "
    "img-src data: blob:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# A report says by itself which script and style it has; this is what the server lets it say.
REPORT = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'self'"
)
