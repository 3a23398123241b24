"""Property tests have no deadline: on a busy machine it would say nothing about the code."""

from hypothesis import settings

settings.register_profile("leakpro", deadline=None)
settings.load_profile("leakpro")
