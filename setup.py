from setuptools import find_namespace_packages, setup

TOP = ("core", "bench", "quantizers", "datasets", "reports")  # top-level folder X is imported as quantdg.X

setup(
    packages=["quantdg"] + [f"quantdg.{p}" for t in TOP for p in find_namespace_packages(".", include=(t, f"{t}.*"))],
    package_dir={"quantdg": "api", **{f"quantdg.{t}": t for t in TOP}},
    package_data={"": ["*.yaml", "*.html", "*.css", "*.js", "*.csv", "py.typed"]},
)
