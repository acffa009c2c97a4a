"""Keep pytest from importing the integrations for their doctests.

Each needs a third-party package, which need not be installed. tests/integrations tests them.
"""

collect_ignore_glob = ["gliner_distill/integrations/*"]
