"""Compile the kernel while a wheel or an editable installation is made."""

import importlib.util
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

KERNEL = Path("src", "gliner_distill", "kernel")


class KernelBuildHook(BuildHookInterface):
    """Runs `gliner_distill/kernel/build.py` and puts its result into the wheel."""

    def dependencies(self) -> list[str]:
        """Return the package with a C compiler where this machine has none."""
        return [] if self._build().find_compilers() else ["ziglang>=0.13"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile the kernel; without it, the package computes with numpy."""
        if self.target_name != "wheel":
            return
        build = self._build()
        try:
            library = build.compile_with_any(Path(self.root) / KERNEL)
        except (RuntimeError, OSError) as error:
            self.app.display_warning(f"The kernel is not compiled, so numpy computes: {error}")
            return
        self.app.display_info(f"compiled {library}")
        build_data["artifacts"].append(f"/{(KERNEL / library.name).as_posix()}")
        # The library serves every version of Python, but only this platform.
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"

    def _build(self) -> ModuleType:
        # The package itself cannot be imported yet, because its dependencies are missing.
        path = Path(self.root) / KERNEL / "build.py"
        spec = importlib.util.spec_from_file_location("kernel_build", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
