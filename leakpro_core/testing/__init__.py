"""For plugin authors: conformance checks, simulated challenges, hypothesis strategies, fixtures.

``conformance`` holds the checks; ``simulation`` and ``strategies`` make challenges;
``pytest_plugin`` is found by pytest itself; ``wheels`` makes tiny wheels for tests of vetting.
"""
