"""The strategies of the replay's crowd: one file a strategy, each a pure function of data published before its round opened.

A strategy of the signals tournament gets a :class:`~service.replay.providers.window.StrategyInput` and returns one number for
each asset of the round's universe; one of the classic tournament gets a
:class:`~service.replay.providers.classic.ClassicInput` and returns one number for each id of the live era. Any finite scale
will do: the crowd ranks the numbers before it writes a file. NaN says "no opinion". Who sends which strategy, with what
stake and what manners, is the roster's business (``service/replay/crowd.py``).
"""
