"""The client of the application needs packages of the extra `serve`."""

from importlib.util import find_spec

PACKAGES = ("fastapi", "httpx2", "prometheus_client", "uvicorn")
if any(find_spec(package) is None for package in PACKAGES):
    collect_ignore = ["test_routes.py", "test_disagreements.py"]
