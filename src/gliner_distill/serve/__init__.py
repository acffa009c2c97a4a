"""The HTTP server of `serve`, and the checks of requests that every server of the package needs."""
