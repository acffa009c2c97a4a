"""Put students in the place of GLiNERs in packages that import `gliner`."""

from gliner_distill.compat.installation import install as install
from gliner_distill.compat.installation import uninstall as uninstall
