"""Rules over the metrics, alerts that have a life, and what is done about them.

``expression`` (the language) -> ``rules`` -> ``alerts`` (raised, acknowledged, cleared: pure) ->
``desk`` (the agent's side of it) with ``memory``, ``wishes``, ``webhook``.
"""
