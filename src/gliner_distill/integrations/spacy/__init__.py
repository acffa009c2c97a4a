"""The spaCy component `gliner_distill`: `nlp.add_pipe("gliner_distill", config={"labels": [...]})`.

spaCy finds it by the entry points of the package, and then imports `factory` and `colors`.
"""
